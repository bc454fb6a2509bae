"""Is this machine ready for the course?

    python doctor.py            says what is right and, for each thing that is not, how to mend it
    python doctor.py --live     also asks Hugging Face, once, whether your token may make calls

Every check is a function of what it is told, so each can be shown to fail; `examine()` is where the
machine is looked at. Ends with exit code 0 if everything is right, 1 if something is not.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import re
import shlex
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

COURSE = Path(__file__).resolve().parent
DISTRIBUTION = "hf-inference-course"
OLDEST, NEWEST = (3, 11), (3, 14)
JUPYTER_PORT, PRACTICE_PORT = 8888, 8750
WHOAMI = "https://huggingface.co/api/whoami-v2"
NEW_TOKEN = (
    "https://huggingface.co/settings/tokens/new"
    "?ownUserPermissions=inference.serverless.write&tokenType=fineGrained"
)
MAY_CALL = "inference.serverless.write"  # the API's name for "Make calls to Inference Providers"


@dataclass(frozen=True)
class Check:
    """What one check found. `cure` is what to type (or open) when `ok` is False."""

    name: str
    ok: bool
    detail: str
    cure: str = ""


# ---- the checks --------------------------------------------------------------------------------


def python_version(version: tuple[int, int]) -> Check:
    """The course runs on Python 3.11 to 3.14."""
    said = ".".join(map(str, version))
    if OLDEST <= version <= NEWEST:
        return Check("Python", True, said)
    return Check(
        "Python",
        False,
        f"{said}; the course needs 3.11 to 3.14",
        "sudo apt-get install python3 python3-venv   (or python.org/downloads), then: rm -rf .venv"
        " && make lab",
    )


def packages_as_locked(lock: str, installed: dict[str, str], python: str) -> Check:
    """Every package of the lock file is installed in exactly the locked version.

    lock : the text of locks/lab.txt (`name==version ; marker` lines).
    installed : {normalised name: version}.
    """
    pins = dict(_pins(lock))
    wrong = [
        f"{name} {installed.get(name, 'missing')} (locked: {version})"
        for name, version in pins.items()
        if installed.get(name) != version
    ]
    if not wrong:
        return Check("packages", True, f"all {len(pins)} as in locks/lab.txt")
    return Check(
        "packages",
        False,
        f"{len(wrong)} of {len(pins)} are not as in locks/lab.txt: {_some(wrong)}",
        f"{python} -m pip install -r locks/lab.txt && {python} -m pip install --no-deps -e .",
    )


def packages_in_range(requirements: list[str], installed: dict[str, str], python: str) -> Check:
    """Every requirement of pyproject.toml is met. For places that bring their own packages: conda,
    Binder, Colab.

    requirements : lines like `numpy>=2,<3`.
    """
    from packaging.requirements import Requirement

    needed = [
        r
        for r in map(Requirement, requirements)
        if r.marker is None or r.marker.evaluate({"extra": ""})
    ]
    wrong = []
    for need in needed:
        have = installed.get(_normal(need.name))
        if have is None or not need.specifier.contains(have, prereleases=True):
            wrong.append(need)
    if not wrong:
        return Check("packages", True, f"all {len(needed)} that pyproject.toml asks for")
    said = [
        f"{need.name} {installed.get(_normal(need.name), 'missing')} (needed:"
        f" {need.specifier or 'any'})"
        for need in wrong
    ]
    return Check(
        "packages",
        False,
        f"{len(wrong)} of {len(needed)} do not fit pyproject.toml: {_some(said)}",
        f"{python} -m pip install "
        + " ".join(shlex.quote(f"{need.name}{need.specifier}") for need in wrong)
        + "   (then restart the kernel)",
    )


def kernel(argv: list[str] | None, executable: str, python: str) -> Check:
    """The kernel that JupyterLab calls `python3` runs this Python, and not another one on the
    machine.

    argv : the kernel spec's command, None where there is no such kernel.
    """
    cure = f"{python} -m ipykernel install --sys-prefix --name python3"
    if argv is None:
        return Check("kernel", False, "Jupyter knows no kernel named python3", cure)
    # A bare name is replaced by Jupyter with the Python it runs on itself.
    own = re.fullmatch(r"python(3(\.\d+)?)?(\.exe)?", argv[0]) or os.path.normcase(
        os.path.abspath(argv[0])
    ) == os.path.normcase(executable)
    if own:
        return Check("kernel", True, "python3 runs this Python")
    return Check("kernel", False, f"python3 runs {argv[0]}, not {executable}", cure)


def widgets(
    ipywidgets: str | None, front_end: str | None, jupyterlab: str | None, python: str
) -> Check:
    """The widgets' Python side and the JupyterLab extension that draws them belong together.

    front_end : version of the installed extension @jupyter-widgets/jupyterlab-manager; None where
        there is none.
    jupyterlab : version; None where notebooks are opened by something else, which brings its own
        front end.
    """
    if ipywidgets is None:
        return Check(
            "widgets",
            False,
            "ipywidgets is missing; exercises would show as plain text",
            f"{python} -m pip install 'ipywidgets>=7.7,<9'",
        )
    if jupyterlab is None:
        return Check("widgets", True, f"ipywidgets {ipywidgets}; no JupyterLab here to check")
    # ipywidgets 7 is drawn by jupyterlab_widgets 1 and extension 3; ipywidgets 8 by 3 and 5.
    wanted = {"7": "3", "8": "5"}.get(ipywidgets.split(".")[0])
    if front_end is not None and front_end.split(".")[0] == wanted:
        return Check(
            "widgets", True, f"ipywidgets {ipywidgets}, drawn by JupyterLab's extension {front_end}"
        )
    found = (
        "the JupyterLab extension that draws them is missing"
        if front_end is None
        else f"JupyterLab's extension is {front_end}"
    )
    return Check(
        "widgets",
        False,
        f"ipywidgets {ipywidgets}, but {found}",
        f"{python} -m pip install --force-reinstall --no-deps"
        f" jupyterlab_widgets=={'1.*' if wanted == '3' else '3.*'}   (then reload the browser tab)",
    )


def token(value: str | None, source: str) -> Check:
    """A token is only needed for Live. Its value is never shown.

    source : where it was found, in words; without a value, why it cannot be read.
    """
    if value is None and source:
        cure = "unset HF_TOKEN_PATH or HF_HOME if it leads there; else move that file away"
        return Check("token", False, source, f"{cure}, then: hf auth login")
    if value is None:
        return Check("token", True, "none; Replay and Practice need none. For Live: hf auth login")
    if re.fullmatch(r"hf_[A-Za-z0-9]{20,}|hf_oauth_\S{20,}|\S+\.\S+\.\S+", value):
        return Check(
            "token", True, f"present, from {source}; live permission untested (--live asks)"
        )
    return Check(
        "token",
        False,
        f"present, from {source}, but it does not look like a Hugging Face token (hf_…)",
        (
            "hf auth login"
            if source.startswith("the file")
            else f"set it again in {source}: paste the whole token, nothing else"
        ),
    )


def environment(stops: dict[str, str], wrong: dict[str, str]) -> Check:
    """What environment variables say can be followed.

    stops, wrong : {variable: what is wrong with it}; the first in every mode, the second in Live.
    """
    names = [*stops, *wrong]
    if not names:
        return Check("environment", True, "no variable that is in the way")
    said = _some([f"{name} {why}" for name, why in (stops | wrong).items()])
    who = (
        "That stops Replay and Practice, too"
        if stops
        else "Replay and Practice set it aside; Live does not"
    )
    cure = f"unset {' '.join(names)}   (Windows: set {names[0]}=)"
    return Check("environment", False, f"{said}. {who}", cure)


def live_permission(status: int | None, who: dict) -> Check:
    """What Hugging Face says of the token.

    status : HTTP status of the one request; None if no answer came, then `who` holds {"error":
        why}.
    who : the answer's JSON.
    """
    said = who.get("error", "unknown")
    if status is None and "CERTIFICATE" in said:
        return Check(
            "live",
            False,
            f"this machine does not trust the certificate of huggingface.co: {said}",
            "ask whoever runs your network for its certificate, and set SSL_CERT_FILE to that file"
            " (REQUESTS_CA_BUNDLE is not read)",
        )
    if status is None:
        key_log = said.startswith("SSLKEYLOGFILE")
        mend = "unset SSLKEYLOGFILE" if key_log else "check the connection"
        again = f"{mend}, then: python doctor.py --live"
        return Check("live", False, f"no answer from huggingface.co: {said}", again)
    if status == 401:
        return Check(
            "live",
            False,
            "Hugging Face does not know this token (401); it was revoked or cut short",
            f"open {NEW_TOKEN} , make a token, then: hf auth login",
        )
    if status != 200:
        return Check(
            "live",
            False,
            f"huggingface.co answered {status}; nothing is known about the token",
            "wait a minute, then: python doctor.py --live",
        )
    access = who.get("auth", {}).get("accessToken", {})
    if access.get("role") == "fineGrained":
        fine = access.get("fineGrained", {})
        given = [
            *fine.get("global", []),
            *(name for scope in fine.get("scoped", []) for name in scope.get("permissions", [])),
        ]
        if MAY_CALL not in given:
            return Check(
                "live",
                False,
                'the token works, but lacks the permission "Make calls to Inference Providers"',
                f"open {NEW_TOKEN} , make a token, then: hf auth login",
            )
    return Check(
        "live", True, f"the token works (role: {access.get('role', 'unknown')}) and may make calls"
    )


def port(number: int, purpose: str, answered_by: str | None, cure: str = "") -> Check:
    """Nobody else sits on a port the course uses.

    answered_by : what listens there: None for nobody, the purpose itself for our own server, else a
        description.
    cure : empty where the server looks for another port by itself.
    """
    if answered_by is None:
        return Check(f"port {number}", True, f"free for {purpose}")
    if answered_by == purpose:
        return Check(f"port {number}", True, f"{purpose} is running there")
    if not cure:
        return Check(
            f"port {number}", True, f"in use by {answered_by}; {purpose} takes the next free one"
        )
    return Check(f"port {number}", False, f"wanted by {purpose}, in use by {answered_by}", cure)


def recordings(problems: dict[str, list[str]]) -> Check:
    """Every recording can be read whole.

    problems : {file name: one line for each thing wrong}.
    """
    if not problems:
        return Check(
            "recordings",
            False,
            "helpers/recordings/ holds none; nothing can be replayed",
            "git restore helpers/recordings",
        )
    wrong = [line for lines in problems.values() for line in lines]
    if not wrong:
        return Check("recordings", True, f"{len(problems)} notebook(s), all intact")
    damaged = " ".join(f"helpers/recordings/{name}" for name, lines in problems.items() if lines)
    return Check("recordings", False, _some(wrong), f"git restore {damaged}")


# ---- looking at the machine --------------------------------------------------------------------


def examine(live: bool = False) -> list[Check]:
    """All checks of this machine. Sends nothing anywhere unless `live`, and then one request."""
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    python = _as_typed(sys.executable)
    installed = {
        _normal(d.metadata["Name"]): d.version
        for d in importlib.metadata.distributions()
        if d.metadata["Name"]
    }
    checks = [python_version(sys.version_info[:2]), _packages(installed, python)]
    if not checks[1].ok and not _in_environment():
        return checks  # the system's own Python: nothing is to be installed there
    if "jupyter-client" in installed:
        checks.append(kernel(_kernel_argv(), sys.executable, python))
    checks.append(
        widgets(installed.get("ipywidgets"), _front_end(), installed.get("jupyterlab"), python)
    )
    checks.append(environment(*_variables()))
    value, source = _find_token() if "huggingface-hub" in installed else (None, "")
    checks.append(token(value, source))
    if live:
        checks.append(
            live_permission(*_whoami(value))
            if value
            else Check(
                "live",
                False,
                "there is no token to ask about",
                f"open {NEW_TOKEN} , make a token, then: hf auth login",
            )
        )
    checks.append(
        port(JUPYTER_PORT, "JupyterLab", _listener(JUPYTER_PORT, "/api", "version", "JupyterLab"))
    )
    checks.append(
        port(
            PRACTICE_PORT,
            "the practice server",
            _listener(PRACTICE_PORT, "/health", "", "the practice server"),
            "stop the other program; or: make practice ARGS='--port 8751', and set"
            " COURSE_PRACTICE_URL=http://127.0.0.1:8751",
        )
    )
    checks.append(_recordings())
    return checks


def _packages(installed: dict[str, str], python: str) -> Check:
    found = _compare(installed, python) if "packaging" in installed else None
    if found is None or not (found.ok or _in_environment()):
        return Check(
            "packages",
            False,
            f"{python} lacks what the course needs; the course's own Python lies in .venv",
            "make lab, which builds it; then: make doctor   (without make: see CONTRIBUTING.md)",
        )
    return found


def _compare(installed: dict[str, str], python: str) -> Check:
    """Against the lock where the course installs its own packages, else against pyproject.toml,
    else against the wheel."""
    lock = COURSE / "locks" / "lab.txt"
    if lock.exists() and _in_environment() and not _brings_its_own():
        return packages_as_locked(lock.read_text(encoding="utf-8"), installed, python)
    if (COURSE / "pyproject.toml").exists():
        import tomllib

        project = tomllib.loads((COURSE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        return packages_in_range(project["dependencies"], installed, python)
    try:
        return packages_in_range(importlib.metadata.requires(DISTRIBUTION) or [], installed, python)
    except importlib.metadata.PackageNotFoundError:
        return Check(
            "packages",
            False,
            f"{DISTRIBUTION} is not installed",
            "run the notebook's first cell, which installs it",
        )


def _brings_its_own() -> bool:
    """Conda, Binder and Colab have versions of their own; there the ranges of pyproject.toml count,
    not the lock."""
    return (Path(sys.prefix) / "conda-meta").exists() or bool(
        importlib.util.find_spec("google") and importlib.util.find_spec("google.colab")
    )


def _in_environment() -> bool:
    """True in a virtual or conda environment and on Colab, False for the system's own Python."""
    return sys.prefix != sys.base_prefix or _brings_its_own()


def _kernel_argv() -> list[str] | None:
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        return KernelSpecManager().get_kernel_spec("python3").argv
    except NoSuchKernel:
        return None


def _front_end() -> str | None:
    file = (
        Path(sys.prefix)
        / "share/jupyter/labextensions/@jupyter-widgets/jupyterlab-manager/package.json"
    )
    return json.loads(file.read_text(encoding="utf-8"))["version"] if file.exists() else None


def _find_token() -> tuple[str | None, str]:
    try:
        from huggingface_hub import constants

        from helpers.tokens import learners, unreadable
    except (ImportError, ValueError):  # `packages` or `environment` says so
        return None, ""
    value = learners()
    if value is None:
        return None, unreadable()
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if (os.environ.get(name) or "").strip() == value:
            return value, f"the environment variable {name}"
    if Path(constants.HF_TOKEN_PATH).exists():
        return value, "the file that `hf auth login` wrote"
    return value, "the Colab secret HF_TOKEN"


def _whoami(value: str) -> tuple[int | None, dict]:
    import httpx2

    try:
        response = httpx2.get(WHOAMI, headers={"Authorization": f"Bearer {value}"}, timeout=10)
        return response.status_code, response.json() if response.status_code == 200 else {}
    except OSError as error:  # before anything is sent
        key_log = error.filename and error.filename == os.environ.get("SSLKEYLOGFILE")
        what = "SSLKEYLOGFILE" if key_log else "CERTIFICATES cannot be read"
        return None, {"error": f"{what}: {error}"}
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, ImportError) as error:
        return None, {"error": f"{type(error).__name__}: {error}"}


# What huggingface_hub reads when it is imported; and what the two clients send as headers.
NUMBERS = "HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT"
OPENAIS = "OPENAI_CUSTOM_HEADERS", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"
HEADERS = "HF_HUB_USER_AGENT_ORIGIN", *OPENAIS


def _variables() -> tuple[dict[str, str], dict[str, str]]:
    """What is wrong with this process's variables: in every mode, and in Live alone."""
    given = {name: value for name, value in os.environ.items() if value}
    whole = re.compile(r"\s*[+-]?\d+\s*")
    no_number = [name for name in NUMBERS if not whole.fullmatch(given.get(name, "0"))]
    stops = {name: f"is {given[name]!r}, which is no whole number" for name in no_number}
    odd = [name for name in HEADERS if not given.get(name, "").isascii()]
    stops |= dict.fromkeys(odd, "holds letters that no header may have")
    try:
        from helpers.session import MODES
        from helpers.tokens import HUB
        from helpers.wire.environment import pace, unusable
    except (ImportError, ValueError):  # `packages` says so, or what was found above
        return stops, {}
    if given.get("COURSE_MODE", "replay") not in MODES:
        stops["COURSE_MODE"] = f"is {given['COURSE_MODE']!r}; choose one of {', '.join(MODES)}"
    try:
        pace()
    except ValueError:
        stops["COURSE_PACE"] = f"is {given['COURSE_PACE']!r}, which is no number from 0 on"
    wrong = unusable(os.environ)
    if (endpoint := given.get("HF_ENDPOINT", HUB).rstrip("/")) != HUB:
        wrong["HF_ENDPOINT"] = f"leads to {endpoint}, and Live would send your token there"
    if given.get("HUGGINGFACE_CO_STAGING", "").upper() in ("1", "ON", "YES", "TRUE"):
        wrong["HUGGINGFACE_CO_STAGING"] = "leads to a test system, which does not know your token"
    return stops, wrong


def _listener(number: int, path: str, marker: str, ours: str) -> str | None:
    """Who listens on a port of this machine: None, `ours` if `path` answers like our own server, or
    "another program"."""
    with socket.socket() as probe:
        probe.settimeout(1)
        if probe.connect_ex(("127.0.0.1", number)) != 0:
            return None
    import httpx2

    try:
        answer = httpx2.get(f"http://127.0.0.1:{number}{path}", timeout=2, trust_env=False)
    except httpx2.HTTPError:
        return "another program"
    return ours if answer.status_code == 200 and marker in answer.text else "another program"


def _recordings() -> Check:
    folder = COURSE / "helpers" / "recordings"
    try:
        from helpers.replay.storage import check
    except (ImportError, ValueError) as error:
        return Check(
            "recordings",
            False,
            f"cannot be read until packages and environment are right ({error})",
            "see above",
        )
    return recordings({file.name: check(file) for file in sorted(folder.glob("*.json"))})


# ---- small things ------------------------------------------------------------------------------


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _pins(lock: str):
    """(name, version) of the lock's lines that count on this machine."""
    from packaging.markers import Marker

    for name, version, marker in re.findall(
        r"^([A-Za-z0-9._-]+)==([^\s;]+)(?: ; (.+?))?(?: \\)?$", lock, re.MULTILINE
    ):
        if not marker or Marker(marker).evaluate():
            yield _normal(name), version


def _some(lines: list[str], most: int = 4) -> str:
    return "; ".join(lines[:most]) + (
        f"; and {len(lines) - most} more" if len(lines) > most else ""
    )


def _as_typed(executable: str) -> str:
    """How to type this Python in a terminal: from the course's folder where it lies there."""
    if Path(executable).is_relative_to(COURSE):
        executable = str(Path(executable).relative_to(COURSE))
    return subprocess.list2cmdline([executable]) if os.name == "nt" else shlex.quote(executable)


def report(checks: list[Check]) -> str:
    """The checks as text: one line each, and under a wrong one what to type."""
    wide = max(len(check.name) for check in checks)
    lines = []
    for check in checks:
        lines.append(
            f"{'ok   ' if check.ok else 'WRONG'}  {check.name.ljust(wide)}  {check.detail}"
        )
        if not check.ok:
            lines.append(f"       {' ' * wide}  mend it: {check.cure}")
    wrong = sum(not check.ok for check in checks)
    lines.append(
        "Everything is ready: make lab"
        if not wrong
        else f"{wrong} thing(s) to mend. Commands are typed in the course's folder."
    )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python doctor.py", description="Is this machine ready for the course?"
    )
    parser.add_argument(
        "--live",
        action="store_true",
        help="also ask Hugging Face, once, whether your token may make calls",
    )
    checks = examine(parser.parse_args(arguments).live)
    if hasattr(sys.stdout, "reconfigure"):  # a console may have no … and no ×
        sys.stdout.reconfigure(errors="replace")
    print(report(checks))
    return 0 if all(check.ok for check in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
