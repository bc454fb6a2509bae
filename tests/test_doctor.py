"""The doctor: every check is shown to pass and to fail, and a failing one names the command that
mends it."""

import http.server
import json
import os
import re
import socket
import subprocess
import sys
import threading

import httpx2
import pytest
from test_tokens import BREAKING

import doctor
from doctor import Check
from helpers import wire

PY = ".venv/bin/python"
TOKEN = "hf_" + "aB3" * 11
LOCK = (doctor.COURSE / "locks" / "lab.txt").read_text(encoding="utf-8")


def wrong(check, *words, cure):
    assert not check.ok
    assert all(word in check.detail for word in words), check
    assert cure in check.cure, check
    return True


@pytest.mark.parametrize("version", [(3, 11), (3, 14)])
def test_python_that_is_right(version):
    assert doctor.python_version(version) == Check("Python", True, ".".join(map(str, version)))


@pytest.mark.parametrize("version", [(3, 8), (3, 10), (3, 15)])
def test_python_that_is_not(version):
    assert wrong(doctor.python_version(version), f"3.{version[1]}", "3.11 to 3.14", cure="make lab")


def test_packages_as_locked():
    installed = dict(doctor._pins(LOCK))
    assert len(installed) > 50 and doctor.packages_as_locked(LOCK, installed, PY).ok
    broken = {**installed, "numpy": "1.0"}
    del broken["openai"]
    assert wrong(
        doctor.packages_as_locked(LOCK, broken, PY),
        "2 of",
        "numpy 1.0 (locked: ",
        "openai missing",
        cure=f"{PY} -m pip install -r locks/lab.txt",
    )
    assert "and " in doctor.packages_as_locked(LOCK, {}, PY).detail


def test_only_the_lines_of_this_platform_count():
    lock = (
        "a-b==1.0 ; sys_platform == 'nowhere' \\\n    --hash=sha256:0\nc.d==2.0 \\\n   "
        " --hash=sha256:0\ne==3 ; python_version >= '3' \\\n    --hash=sha256:0\n    # via x==9\n"
    )
    assert dict(doctor._pins(lock)) == {"c-d": "2.0", "e": "3"}


def test_packages_in_range():
    needs = [
        "numpy>=2,<3",
        "huggingface_hub>=2.4,<2.5",
        "nowhere; sys_platform == 'nowhere'",
        "jupyterlab; extra == 'lab'",
    ]
    good = {"numpy": "2.5.5", "huggingface-hub": "2.4.0"}
    assert doctor.packages_in_range(needs, good, PY) == Check(
        "packages", True, "all 2 that pyproject.toml asks for"
    )
    found = doctor.packages_in_range(needs, {"numpy": "1.26.0"}, PY)
    assert wrong(
        found, "numpy 1.26.0 (needed: <3,>=2)", "huggingface_hub missing", cure="'numpy<3,>=2'"
    )


@pytest.mark.parametrize(
    "argv",
    [
        ["python", "-m", "x"],
        ["python3"],
        ["python3.13"],
        ["python.exe"],
        ["/a/.venv/bin/python"],
        ["/a/.venv/bin/../bin/python"],
    ],
)
def test_kernel_that_is_this_python(argv):
    assert doctor.kernel(
        argv,
        (
            os.path.normcase("/a/.venv/bin/python")
            if os.name != "nt"
            else os.path.abspath("/a/.venv/bin/python")
        ),
        PY,
    ).ok


@pytest.mark.parametrize(
    ("argv", "word"), [(None, "no kernel"), (["/usr/bin/python3", "-m", "x"], "/usr/bin/python3")]
)
def test_kernel_that_is_not(argv, word):
    assert wrong(
        doctor.kernel(argv, "/a/.venv/bin/python", PY),
        word,
        cure=f"{PY} -m ipykernel install --sys-prefix",
    )


@pytest.mark.parametrize(
    ("ipywidgets", "front_end", "lab"),
    [("8.1.9", "5.0.16", "4.6.6"), ("7.7.1", "3.1.11", "4.0"), ("7.7.1", None, None)],
)
def test_widgets_that_fit(ipywidgets, front_end, lab):
    assert doctor.widgets(ipywidgets, front_end, lab, PY).ok


@pytest.mark.parametrize(
    ("ipywidgets", "front_end", "word", "cure"),
    [
        (None, "5.0.16", "missing", "'ipywidgets>=7.7,<9'"),
        ("8.1.9", None, "missing", "jupyterlab_widgets==3.*"),
        ("8.1.9", "3.1.11", "3.1.11", "jupyterlab_widgets==3.*"),
        ("7.7.1", "5.0.16", "5.0.16", "jupyterlab_widgets==1.*"),
    ],
)
def test_widgets_that_do_not(ipywidgets, front_end, word, cure):
    assert wrong(doctor.widgets(ipywidgets, front_end, "4.6.6", PY), word, cure=cure)


def test_token():
    assert doctor.token(None, "").ok and "none" in doctor.token(None, "").detail
    there = doctor.token(TOKEN, "the environment variable HF_TOKEN")
    assert there.ok and "untested" in there.detail and "HF_TOKEN" in there.detail
    for odd in ("your token here", "Bearer " + TOKEN, "hf_short"):
        assert wrong(
            doctor.token(odd, "the environment variable HF_TOKEN"),
            "does not look like",
            cure="the environment variable HF_TOKEN",
        )
    assert wrong(doctor.token("x", "the file that `hf auth login` wrote"), cure="hf auth login")


NO_JSON = "JSONDecodeError: Expecting value: line 1 column 1 (char 0)"
FINE = {
    "auth": {
        "accessToken": {
            "role": "fineGrained",
            "fineGrained": {"global": ["inference.serverless.write"], "scoped": []},
        }
    }
}
SCOPED = {
    "auth": {
        "accessToken": {
            "role": "fineGrained",
            "fineGrained": {
                "global": [],
                "scoped": [{"permissions": ["repo.read", "inference.serverless.write"]}],
            },
        }
    }
}
LACKS = {
    "auth": {
        "accessToken": {
            "role": "fineGrained",
            "fineGrained": {
                "global": ["discussion.write"],
                "scoped": [{"permissions": ["repo.read"]}],
            },
        }
    }
}


def test_live_permission():
    assert doctor.live_permission(200, FINE).ok and doctor.live_permission(200, SCOPED).ok
    assert doctor.live_permission(200, {"auth": {"accessToken": {"role": "read"}}}).ok
    assert wrong(
        doctor.live_permission(200, LACKS),
        "Make calls to Inference Providers",
        cure="settings/tokens/new",
    )
    assert wrong(doctor.live_permission(401, {}), "401", cure="hf auth login")
    assert wrong(doctor.live_permission(503, {}), "503", cure="--live")
    assert wrong(
        doctor.live_permission(None, {"error": "ConnectTimeout: slow"}),
        "ConnectTimeout",
        cure="--live",
    )


def test_port():
    assert "free" in doctor.port(8750, "the practice server", None, "x").detail
    assert "running" in doctor.port(8750, "the practice server", "the practice server", "x").detail
    assert wrong(
        doctor.port(8750, "the practice server", "another program", "stop it"),
        "another program",
        cure="stop it",
    )
    assert (
        doctor.port(8888, "JupyterLab", "another program").ok
        and "next free" in doctor.port(8888, "JupyterLab", "another program").detail
    )


def test_recordings():
    assert doctor.recordings({"a.json": [], "b.json": []}).ok
    assert wrong(
        doctor.recordings({"a.json": ["a.json, line 3: broken"], "b.json": []}),
        "line 3",
        cure="git restore helpers/recordings/a.json",
    )
    assert wrong(doctor.recordings({}), "holds none", cure="git restore helpers/recordings")


# ---- looking at the machine --------------------------------------------------------------------


@pytest.fixture
def server():
    """A program of somebody else on a port of this machine; `server.answer` is what it says to a
    GET."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            status, body = self.server.answer
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as made:
        made.answer = 404, b"nobody you know"
        thread = threading.Thread(
            target=made.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        thread.start()
        yield made
        made.shutdown()
        thread.join(60)


def test_listener_tells_our_server_from_another(server):
    assert (
        doctor._listener(server.server_port, "/api", "version", "JupyterLab") == "another program"
    )
    server.answer = 200, b'{"version": "2.17"}'
    assert doctor._listener(server.server_port, "/api", "version", "JupyterLab") == "JupyterLab"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert doctor._listener(free.getsockname()[1], "/", "", "JupyterLab") is None


def test_find_token_says_where_it_lies_and_ignores_the_placeholder(monkeypatch, tmp_path):
    from huggingface_hub import constants

    from helpers.tokens import PLACEHOLDER

    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    assert doctor._find_token() == (None, "")
    (tmp_path / "token").write_text(TOKEN)
    assert doctor._find_token() == (TOKEN, "the file that `hf auth login` wrote")
    monkeypatch.setenv("HF_TOKEN", TOKEN + "\n")
    assert doctor._find_token() == (TOKEN, "the environment variable HF_TOKEN")
    monkeypatch.setenv("HF_TOKEN", PLACEHOLDER)  # which hides nothing
    assert doctor._find_token() == (TOKEN, "the file that `hf auth login` wrote")
    (tmp_path / "token").unlink()
    assert doctor._find_token() == (None, "")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (wire.Plan(200, {}, [(0.0, json.dumps(FINE).encode())]), (200, FINE)),
        (wire.Plan(401, {}, [(0.0, b"{}")]), (401, {})),
        (
            wire.Plan(200, {}, [(0.0, b"<html>")]),
            (None, {"error": "JSONDecodeError: Expecting value: line 1 column 1 (char 0)"}),
        ),
        (
            wire.Plan(0, {}, [], breaks=httpx2.ConnectTimeout("slow")),
            (None, {"error": "ConnectTimeout: slow"}),
        ),
    ],
)
def test_whoami_is_one_request(answer, expected):
    asked = []

    def handler(request):
        asked.append((request.method, str(request.url), request.headers["authorization"]))
        return answer

    wire.install(handler)
    try:
        assert doctor._whoami(TOKEN) == expected
    finally:
        wire.remove(handler)
    assert asked == [("GET", doctor.WHOAMI, f"Bearer {TOKEN}")]


def test_recordings_are_checked_one_by_one(monkeypatch, tmp_path):
    folder = tmp_path / "helpers" / "recordings"
    folder.mkdir(parents=True)
    (folder / "good.json").write_text("[]")
    (folder / "torn.json").write_text('[\n{\n "request": {"met')
    monkeypatch.setattr(doctor, "COURSE", tmp_path)
    assert wrong(
        doctor._recordings(), "torn.json", "line", cure="git restore helpers/recordings/torn.json"
    )


def test_packages_are_held_to_the_lock_or_to_pyproject(monkeypatch, tmp_path):
    installed = dict(doctor._pins(LOCK))
    assert "locks/lab.txt" in doctor._packages(installed, PY).detail
    (tmp_path / "conda-meta").mkdir()
    monkeypatch.setattr(sys, "prefix", str(tmp_path))  # a conda environment has its own versions
    assert "pyproject.toml" in doctor._packages(installed, PY).detail
    monkeypatch.setattr(
        doctor, "COURSE", tmp_path
    )  # no course folder, as on Colab: what the wheel says
    monkeypatch.setattr(doctor, "DISTRIBUTION", "openai")  # a distribution that is surely installed
    assert doctor._packages(installed, PY).ok and not doctor._packages({}, PY).ok
    monkeypatch.setattr(doctor, "DISTRIBUTION", "no-such-course")
    assert wrong(doctor._packages(installed, PY), "not installed", cure="first cell")


def test_examine_looks_at_everything_and_sends_nothing():
    asked = []
    listen = asked.append
    wire.install(listen)
    try:
        names = [check.name for check in doctor.examine()]
    finally:
        wire.remove(listen)
    assert names == [
        "Python",
        "packages",
        "kernel",
        "widgets",
        "environment",
        "token",
        "port 8888",
        "port 8750",
        "recordings",
    ]
    assert asked == []


def test_live_without_a_token_asks_nobody():
    live = next(check for check in doctor.examine(live=True) if check.name == "live")
    assert wrong(live, "no token", cure="settings/tokens/new")


def test_report_is_plain_and_its_exit_code_counts(monkeypatch, capsys):
    good, bad = Check("a", True, "fine"), Check("longer", False, "broken", "type this")
    assert doctor.report([good]) == "ok     a  fine\nEverything is ready: make lab"
    assert doctor.report([good, bad]).splitlines() == [
        "ok     a       fine",
        "WRONG  longer  broken",
        "               mend it: type this",
        "1 thing(s) to mend. Commands are typed in the course's folder.",
    ]
    for checks, code in (([good], 0), ([good, bad], 1)):
        monkeypatch.setattr(doctor, "examine", lambda live, checks=checks: checks)
        assert doctor.main([]) == code
    assert "\x1b" not in capsys.readouterr().out


def test_the_token_is_never_shown():
    environment = os.environ | {"HF_TOKEN": TOKEN, "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "doctor.py"],
        cwd=doctor.COURSE,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert (
        "from the environment variable HF_TOKEN" in done.stdout
        and TOKEN not in done.stdout + done.stderr
    )
    assert done.returncode == (0 if "WRONG" not in done.stdout else 1) and not re.search(
        "\x1b", done.stdout
    )


def test_it_speaks_when_packages_are_missing(tmp_path):
    """The moment it is needed most: nothing is installed yet."""
    # Python itself, without what is installed in this environment.
    command = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        (
            f"import sys; sys.path.insert(0, {str(doctor.COURSE)!r}); import doctor;"
            " sys.exit(doctor.main([]))"
        ),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 1 and "WRONG  packages" in done.stdout, done.stderr
    assert "make lab" in done.stdout and "Traceback" not in done.stderr


def test_the_systems_python_is_sent_to_the_courses_own(monkeypatch):
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    assert doctor._packages(
        dict(doctor._pins(LOCK)), PY
    ).ok  # all is there anyway, as in a container
    assert wrong(
        doctor._packages({"packaging": "26"}, PY), "lacks what the course needs", cure="make lab"
    )
    monkeypatch.setattr(doctor.importlib.metadata, "distributions", list)
    checks = doctor.examine()
    assert [check.name for check in checks] == ["Python", "packages"]
    assert wrong(checks[1], "lacks what the course needs", cure="make lab")


# ---- environment variables ---------------------------------------------------------------------


def test_a_variable_in_the_way_is_named_with_its_cure():
    assert doctor.environment({}, "").ok
    assert wrong(
        doctor.environment({"ALL_PROXY": "names a proxy of the kind socks5://"}, ""),
        "ALL_PROXY names a proxy",
        "Replay and Practice set it aside",
        cure="unset ALL_PROXY",
    )
    assert wrong(
        doctor.environment({}, "https://mirror.example"),
        "HF_ENDPOINT leads to https://mirror.example",
        "your token",
        cure="unset HF_ENDPOINT",
    )


@pytest.mark.parametrize(
    ("name", "value", "encoding"),
    [(*one, "ascii") for one in (*BREAKING, ("HF_HUB_ETAG_TIMEOUT", "soon"))]
    + [("HF_TOKEN", " ", "cp1252")],
)
def test_nothing_in_the_environment_ends_in_a_traceback(name, value, encoding, tmp_path):
    environ = os.environ | {"HF_HOME": str(tmp_path), "PYTHONIOENCODING": encoding}
    done = subprocess.run(
        [sys.executable, "doctor.py"],
        cwd=doctor.COURSE,
        env=environ | {name: value},
        capture_output=True,
        timeout=240,
    )
    assert b"Traceback" not in done.stderr, done.stderr[-2000:]
    named = re.search(rf"WRONG  environment +{name} ".encode(), done.stdout)
    harmless = ("_INFERENCE_ENDPOINT", "_STAGING", "_OIDC_RESOURCE", "_IMPLICIT_TOKEN")
    if not name.endswith(harmless):
        assert named and f"unset {name}".encode() in done.stdout, done.stdout


def test_a_certificate_is_told_from_a_dead_cable(monkeypatch):
    import httpx2

    def fails(error):
        def get(*_, **__):
            raise error

        monkeypatch.setattr(httpx2, "get", get)
        return doctor.live_permission(*doctor._whoami(TOKEN))

    unknown = httpx2.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate")
    assert wrong(fails(unknown), "does not trust the certificate", cure="SSL_CERT_FILE")
    assert "REQUESTS_CA_BUNDLE is not read" in fails(unknown).cure
    assert wrong(fails(httpx2.ConnectError("no route")), "no route", cure="check the connection")
    assert wrong(fails(ImportError("socksio is not installed")), "socksio", cure="connection")
    assert wrong(fails(FileNotFoundError(2, "No such file")), "No such file", cure="SSL_CERT_FILE")
    assert wrong(fails(httpx2.InvalidURL("Invalid port")), "Invalid port", cure="connection")
