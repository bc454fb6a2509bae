"""The wheels that the tab needs: pinned with hashes in locks/site.txt, fetched from PyPI and kept
in .venv/site-wheels/.

NumPy, Matplotlib and Pillow have no wheel on PyPI for the browser's platform; they are Pyodide's
own (distribution.py).
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

ROOT = Path(__file__).resolve().parent.parent.parent
PINS = ROOT / "locks" / "site.txt"
KEPT = ROOT / ".venv" / "site-wheels"
LONGEST = 1800  # seconds for all downloads together, and for a command

# Pyodide's own, and with them what only they need.
FROM_PYODIDE = ("numpy", "matplotlib", "pillow")
# What pyproject.toml does not say: the kernel in the tab installs with micropip, and
# huggingface_hub 2.4 imports httpcore2 on every platform, while httpx2 does not ask for it in a
# browser.
ALSO = ("micropip", "httpcore2")
# Front-end files only: the site has them as JupyterLab extensions. The kernel brings a stand-in for
# the first.
FRONT_END = ("widgetsnbextension", "jupyterlab-widgets")
# No wheel for this platform, but the sources also build without a compiler.
FROM_SOURCE = {"pyyaml": {"PYYAML_FORCE_LIBYAML": "0", "PYYAML_FORCE_CYTHON": "0"}}


class SiteFailed(RuntimeError):
    """The site could not be built. The message says what was wrong and what to do."""


def requirements(pyproject: Path = ROOT / "pyproject.toml") -> list[str]:
    """What is resolved for the tab: the course's dependencies without those that Pyodide brings,
    and ALSO."""
    listed = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]["dependencies"]
    return [
        line for line in listed if canonicalize_name(Requirement(line).name) not in FROM_PYODIDE
    ] + list(ALSO)


def lock(python: str, arguments: list[str], pins: Path = PINS) -> None:
    """Write locks/site.txt: versions as in locks/test.txt wherever both have a package. Raises
    SiteFailed."""
    uv = Path(sys.executable).with_name("uv")
    left_out = [word for name in FRONT_END for word in ("--no-emit-package", name)]
    run(
        [
            uv,
            "pip",
            "compile",
            "-q",
            "--python-version",
            python,
            "--python-platform",
            "wasm32-pyodide2025",
            "--generate-hashes",
            "-c",
            pins.with_name("test.txt"),
            "--custom-compile-command",
            "make lock",
            "-o",
            pins,
            *left_out,
            *arguments,
            "-",
        ],
        "\n".join(requirements()),
    )


def pinned(pins: Path = PINS) -> dict[str, str]:
    """{name: version} of a lock file."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", pins.read_text(encoding="utf-8"), re.MULTILINE))


def fetch(abi: str, python: str, pins: Path = PINS, kept: Path = KEPT) -> list[Path]:
    """The pinned wheels as files, one a package, fetched if they are not there yet; their hashes
    are checked by pip.

    abi : of Pyodide, "2026_0". python : "3.14".  Raises SiteFailed if a wheel cannot be had or has
        another hash.
    """
    known = pinned(pins)
    if not known:
        raise SiteFailed(f"locks/{pins.name} pins nothing; write it with `make lock`")
    folder = kept / f"{abi}-{_checksum(pins)}"
    if not folder.exists():
        scratch = folder.with_suffix(f".{os.getpid()}.part")
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        tag = "cp" + python.replace(".", "")
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
        blocks = re.split(r"^(?=[a-z0-9])", pins.read_text(encoding="utf-8"), flags=re.MULTILINE)
        (scratch / "wheels.txt").write_text(
            "".join(b for b in blocks if b.split("==")[0] not in FROM_SOURCE), encoding="utf-8"
        )
        run(
            [
                *pip,
                "download",
                "--no-deps",
                "--require-hashes",
                "--only-binary=:all:",
                "--implementation",
                "cp",
                "--python-version",
                python,
                "--abi",
                tag,
                "--abi",
                "none",
                "--platform",
                f"pyemscripten_{abi}_wasm32",
                "--platform",
                "any",
                "-d",
                scratch,
                "-r",
                scratch / "wheels.txt",
            ]
        )
        for name, environment in FROM_SOURCE.items():
            (scratch / "source.txt").write_text(
                "".join(b for b in blocks if b.split("==")[0] == name), encoding="utf-8"
            )
            run(
                [
                    *pip,
                    "wheel",
                    "--no-deps",
                    "--require-hashes",
                    "--no-binary=:all:",
                    "--no-build-isolation",
                    "-w",
                    scratch,
                    "-r",
                    scratch / "source.txt",
                ],
                environment=environment,
            )
        try:
            scratch.rename(folder)  # all of it or nothing
        except OSError:
            if not folder.exists():  # another process was first: the same wheels
                raise
            shutil.rmtree(scratch)
    found = {
        str(parse_wheel_filename(wheel.name)[0]): wheel for wheel in sorted(folder.glob("*.whl"))
    }
    if missing := sorted(set(known) - set(found)):
        raise SiteFailed(
            f"no wheel for {', '.join(missing)} in {folder}; delete that folder and try again"
        )
    return list(found.values())


def course(out: Path) -> Path:
    """The course's own wheel, built from this folder into `out`: helpers, recordings and data."""
    run([Path(sys.executable).with_name("uv"), "build", "-q", "--wheel", ROOT, "-o", out])
    return next(out.glob("hf_inference_course-*.whl"))


def run(
    command: list,
    text: str | None = None,
    environment: dict[str, str] | None = None,
    folder: Path = ROOT,
) -> str:
    """Run a command in `folder`, with a limit of LONGEST seconds, and return what it printed.
    Raises SiteFailed with its last lines."""
    command = [str(word) for word in command]
    try:
        done = subprocess.run(
            command,
            input=text,
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=LONGEST,
            cwd=folder,
        )
    except FileNotFoundError as error:
        raise SiteFailed(
            f"{command[0]} is missing; `make site` installs what it needs first"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise SiteFailed(
            f"{' '.join(command[:4])} … did not end within {LONGEST} seconds"
        ) from error
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "it gave no reason")[-1500:]
        raise SiteFailed(f"{' '.join(command[:4])} … failed:\n{last}")
    return done.stdout


def _checksum(file: Path) -> str:
    import hashlib

    return hashlib.sha256(file.read_bytes()).hexdigest()[:12]
