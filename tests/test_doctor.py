"""The doctor: every check is shown to pass and to fail, and a failing one names the command that
mends it."""

import os
import re
import socket
import sys
from unittest import mock

import child
import httpx2
import pytest
import standin
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
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


def access(role="fineGrained", everywhere=(), on_repositories=None):
    """What the Hub says of a token."""
    token = {"role": role}
    if role == "fineGrained":
        scoped = [{"permissions": on_repositories}] if on_repositories else []
        token["fineGrained"] = {"global": list(everywhere), "scoped": scoped}
    return {"auth": {"accessToken": token}}


CALLS = "inference.serverless.write"
FINE, SCOPED = access(everywhere=[CALLS]), access(on_repositories=["repo.read", CALLS])
LACKS = access(everywhere=["discussion.write"], on_repositories=["repo.read"])
INSTALLED = dict(doctor._pins(LOCK))
NEEDS = [
    "numpy>=2,<3",
    "huggingface_hub>=2.4,<2.5",
    "nowhere; sys_platform == 'nowhere'",
    "jupyterlab; extra == 'lab'",
]
OURS = os.path.normcase("/a/.venv/bin/python")
if os.name == "nt":
    OURS = os.path.abspath(OURS)
KERNELS = [["python", "-m", "x"], ["python3"], ["python3.13"], ["python.exe"]]
KERNELS += [["/a/.venv/bin/python"], ["/a/.venv/bin/../bin/python"]]
VARIABLE, LOGIN = "the environment variable HF_TOKEN", "the file that `hf auth login` wrote"
SERVER, ANOTHER = "the practice server", "another program"
TORN = {"a.json": ["a.json, line 3: broken"], "b.json": []}

RIGHT = [
    (doctor.python_version, [(3, 11)], "3.11"),
    (doctor.python_version, [(3, 14)], "3.14"),
    (doctor.packages_as_locked, [LOCK, INSTALLED, PY], ""),
    (
        doctor.packages_in_range,
        [NEEDS, {"numpy": "2.5.5", "huggingface-hub": "2.4.0"}, PY],
        "all 2 that pyproject.toml asks for",
    ),
    *[(doctor.kernel, [command, OURS, PY], "") for command in KERNELS],
    (doctor.widgets, ["8.1.9", "5.0.16", "4.6.6", PY], ""),
    (doctor.widgets, ["7.7.1", "3.1.11", "4.0", PY], ""),
    (doctor.widgets, ["7.7.1", None, None, PY], ""),
    (doctor.token, [None, ""], "none"),
    (doctor.token, [TOKEN, VARIABLE], "untested"),
    (doctor.token, [TOKEN, VARIABLE], "HF_TOKEN"),
    (doctor.live_permission, [200, FINE], ""),
    (doctor.live_permission, [200, SCOPED], ""),
    (doctor.live_permission, [200, access("read")], ""),
    (doctor.port, [8750, SERVER, None, "x"], "free"),
    (doctor.port, [8750, SERVER, SERVER, "x"], "running"),
    (doctor.port, [8888, "JupyterLab", ANOTHER], "next free"),
    (doctor.recordings, [{"a.json": [], "b.json": []}], ""),
    (doctor.environment, [{}, {}], ""),
]
INSTALL, NEW_TOKEN = f"{PY} -m pip install", "settings/tokens/new"
IPYKERNEL = f"{PY} -m ipykernel install --sys-prefix"
BROKEN = {name: there for name, there in INSTALLED.items() if name != "openai"} | {"numpy": "1.0"}
SOCKS = {"ALL_PROXY": "names a proxy of the kind socks5://"}
WRONG = [
    (doctor.python_version, [(3, 8)], ["3.8", "3.11 to 3.14"], "make lab"),
    (doctor.python_version, [(3, 10)], ["3.10", "3.11 to 3.14"], "make lab"),
    (doctor.python_version, [(3, 15)], ["3.15", "3.11 to 3.14"], "make lab"),
    (
        doctor.packages_as_locked,
        [LOCK, BROKEN, PY],
        ["2 of", "numpy 1.0 (locked: ", "openai missing"],
        f"{INSTALL} -r locks/lab.txt",
    ),
    (doctor.packages_as_locked, [LOCK, {}, PY], ["and "], INSTALL),
    (
        doctor.packages_in_range,
        [NEEDS, {"numpy": "1.26.0"}, PY],
        ["numpy 1.26.0 (needed: <3,>=2)", "huggingface_hub missing"],
        "'numpy<3,>=2'",
    ),
    (doctor.kernel, [None, OURS, PY], ["no kernel"], IPYKERNEL),
    (doctor.kernel, [["/usr/bin/python3", "-m", "x"], OURS, PY], ["/usr/bin/python3"], IPYKERNEL),
    (doctor.widgets, [None, "5.0.16", "4.6.6", PY], ["missing"], "'ipywidgets>=7.7,<9'"),
    (doctor.widgets, ["8.1.9", None, "4.6.6", PY], ["missing"], "jupyterlab_widgets==3.*"),
    (doctor.widgets, ["8.1.9", "3.1.11", "4.6.6", PY], ["3.1.11"], "jupyterlab_widgets==3.*"),
    (doctor.widgets, ["7.7.1", "5.0.16", "4.6.6", PY], ["5.0.16"], "jupyterlab_widgets==1.*"),
    (doctor.token, ["your token here", VARIABLE], ["does not look like"], VARIABLE),
    (doctor.token, ["Bearer " + TOKEN, VARIABLE], ["does not look like"], VARIABLE),
    (doctor.token, ["hf_short", VARIABLE], ["does not look like"], VARIABLE),
    (doctor.token, ["x", LOGIN], [], "hf auth login"),
    (doctor.live_permission, [200, LACKS], ["Make calls to Inference Providers"], NEW_TOKEN),
    (doctor.live_permission, [401, {}], ["401"], "hf auth login"),
    (doctor.live_permission, [503, {}], ["503"], "--live"),
    (doctor.live_permission, [None, {"error": "ConnectTimeout: x"}], ["ConnectTimeout"], "--live"),
    (doctor.port, [8750, SERVER, ANOTHER, "stop it"], [ANOTHER], "stop it"),
    (doctor.recordings, [TORN], ["line 3"], "git restore helpers/recordings/a.json"),
    (doctor.recordings, [{}], ["holds none"], "git restore helpers/recordings"),
    (
        doctor.environment,
        [{}, SOCKS],
        ["ALL_PROXY names a proxy", "Replay and Practice set it aside"],
        "unset ALL_PROXY",
    ),
    (
        doctor.environment,
        [{"COURSE_MODE": "is odd"}, SOCKS],
        ["COURSE_MODE is odd; ALL_PROXY names", "That stops Replay and Practice, too"],
        "unset COURSE_MODE ALL_PROXY",
    ),
    (doctor.token, [None, "the file x cannot be read"], ["the file x"], "hf auth login"),
]


@pytest.mark.parametrize("check, arguments, word", RIGHT)
def test_what_is_right(check, arguments, word):
    found = check(*arguments)
    assert found.ok and word in found.detail, found


@pytest.mark.parametrize("check, arguments, words, cure", WRONG)
def test_what_is_wrong_and_what_mends_it(check, arguments, words, cure):
    assert wrong(check(*arguments), *words, cure=cure)


def test_only_the_lines_of_this_platform_count():
    lock = """a-b==1.0 ; sys_platform == 'nowhere' \\
    --hash=sha256:0
c.d==2.0 \\
    --hash=sha256:0
e==3 ; python_version >= '3' \\
    --hash=sha256:0
    # via x==9
"""
    assert dict(doctor._pins(lock)) == {"c-d": "2.0", "e": "3"}
    assert len(INSTALLED) > 50


# ---- looking at the machine --------------------------------------------------------------------


@pytest.fixture
def server():
    """A program of somebody else on a `.port` of this machine; `.answer` is what it says."""
    app = Starlette(routes=[Route("/{path:path}", lambda request: Response(*app.answer))])
    app.answer = b"nobody you know", 404
    with standin.serve(app) as app.port:
        yield app


def test_listener_tells_our_server_from_another(server):
    listener = lambda: doctor._listener(server.port, "/api", "version", "JupyterLab")
    assert listener() == "another program"
    server.answer = (b'{"version": "2.17"}',)
    assert listener() == "JupyterLab"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert doctor._listener(free.getsockname()[1], "/", "", "JupyterLab") is None


def test_find_token_says_where_it_lies_and_ignores_the_placeholder(monkeypatch, empty_home):
    from helpers.tokens import PLACEHOLDER

    assert doctor._find_token() == (None, "")
    (empty_home / "token").write_text(TOKEN)
    assert doctor._find_token() == (TOKEN, LOGIN)
    monkeypatch.setenv("HF_TOKEN", TOKEN + "\n")
    assert doctor._find_token() == (TOKEN, VARIABLE)
    monkeypatch.setenv("HF_TOKEN", PLACEHOLDER)  # which hides nothing
    assert doctor._find_token() == (TOKEN, LOGIN)
    (empty_home / "token").unlink()
    assert doctor._find_token() == (None, "")


NO_JSON = "JSONDecodeError: Expecting value: line 1 column 1 (char 0)"
SLOW = wire.Plan(0, {}, [], breaks=httpx2.ConnectTimeout("slow"))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (standin.whole(FINE), (200, FINE)),
        (standin.whole({}, 401), (401, {})),
        (standin.whole(b"<html>"), (None, {"error": NO_JSON})),
        (SLOW, (None, {"error": "ConnectTimeout: slow"})),
    ],
)
def test_whoami_is_one_request(answer, expected, handled):
    asked = []

    def handler(request):
        asked.append((request.method, str(request.url), request.headers["authorization"]))
        return answer

    handled(handler)
    assert doctor._whoami(TOKEN) == expected
    assert asked == [("GET", doctor.WHOAMI, f"Bearer {TOKEN}")]


def test_recordings_are_checked_one_by_one(monkeypatch, tmp_path):
    folder = tmp_path / "helpers" / "recordings"
    folder.mkdir(parents=True)
    (folder / "good.json").write_text("[]")
    (folder / "torn.json").write_text('[\n{\n "request": {"met')
    monkeypatch.setattr(doctor, "COURSE", tmp_path)
    cure = "git restore helpers/recordings/torn.json"
    assert wrong(doctor._recordings(), "torn.json", "line", cure=cure)


def test_packages_are_held_to_the_lock_or_to_pyproject(monkeypatch, tmp_path):
    assert "locks/lab.txt" in doctor._packages(INSTALLED, PY).detail
    (tmp_path / "conda-meta").mkdir()
    monkeypatch.setattr(sys, "prefix", str(tmp_path))  # a conda environment has its own versions
    assert "pyproject.toml" in doctor._packages(INSTALLED, PY).detail
    # No course folder, as on Colab: what the wheel says, here that of a distribution at hand.
    monkeypatch.setattr(doctor, "COURSE", tmp_path)
    monkeypatch.setattr(doctor, "DISTRIBUTION", "openai")
    assert doctor._packages(INSTALLED, PY).ok and not doctor._packages({}, PY).ok
    monkeypatch.setattr(doctor, "DISTRIBUTION", "no-such-course")
    assert wrong(doctor._packages(INSTALLED, PY), "not installed", cure="first cell")


def test_examine_looks_at_everything_and_sends_nothing(handled):
    asked = []
    handled(asked.append)
    looked_at = "Python, packages, kernel, widgets, environment, token, port 8888, port 8750"
    assert ", ".join(check.name for check in doctor.examine()) == f"{looked_at}, recordings"
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
    done = child.python("doctor.py", HF_TOKEN=TOKEN, NO_COLOR="1")
    assert "from the environment variable HF_TOKEN" in done.stdout
    assert TOKEN not in done.stdout + done.stderr
    assert done.returncode == (0 if "WRONG" not in done.stdout else 1)
    assert not re.search("\x1b", done.stdout)


def test_it_speaks_when_packages_are_missing():
    """The moment it is needed most: nothing is installed yet."""
    code = "import doctor; sys.exit(doctor.main([]))"
    # Python itself, without what is installed in this environment.
    alone = "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(doctor.COURSE)!r}); {code}"
    done = child.python(*alone)
    assert done.returncode == 1 and "WRONG  packages" in done.stdout, done.stderr
    assert "make lab" in done.stdout and "Traceback" not in done.stderr


def test_the_systems_python_is_sent_to_the_courses_own(monkeypatch):
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    assert doctor._packages(INSTALLED, PY).ok  # all is there anyway, as in a container
    lacking = doctor._packages({"packaging": "26"}, PY)
    assert wrong(lacking, "lacks what the course needs", cure="make lab")
    monkeypatch.setattr(doctor.importlib.metadata, "distributions", list)
    checks = doctor.examine()
    assert [check.name for check in checks] == ["Python", "packages"]
    assert wrong(checks[1], "lacks what the course needs", cure="make lab")


# ---- environment variables ---------------------------------------------------------------------


STOPPING = [
    ("HF_HUB_ETAG_TIMEOUT", "soon"),
    ("HF_HUB_DOWNLOAD_TIMEOUT", "1.5"),
    ("COURSE_PACE", "slow"),
    ("COURSE_MODE", "Live"),
    ("OPENAI_ORG_ID", "ü"),
    ("OPENAI_CUSTOM_HEADERS", "X-A: ü"),
    ("HF_HUB_USER_AGENT_ORIGIN", "ü"),
]


@pytest.mark.parametrize(
    ("name", "value", "encoding"),
    [(*one, "ascii") for one in (*BREAKING, *STOPPING)] + [("HF_TOKEN", " ", "cp1252")],
)
def test_nothing_in_the_environment_ends_in_a_traceback(name, value, encoding, tmp_path):
    environ = {"HF_HOME": str(tmp_path), "PYTHONIOENCODING": encoding, name: value}
    done = child.python("doctor.py", text=False, **environ)
    assert b"Traceback" not in done.stderr, done.stderr[-2000:]
    named = re.search(rf"WRONG  environment +{name} ".encode(), done.stdout)
    harmless = ("_INFERENCE_ENDPOINT", "_OIDC_RESOURCE", "_IMPLICIT_TOKEN")
    if not name.endswith(harmless):
        assert named and f"unset {name}".encode() in done.stdout, done.stdout
        assert (b"That stops Replay and Practice, too" in done.stdout) == (
            (name, value) in STOPPING
        )


@pytest.mark.parametrize("variable", ["HF_HOME", "HF_TOKEN_PATH"])
def test_a_token_file_that_cannot_be_read_is_named(variable, tmp_path):
    (tmp_path / "file").write_bytes(b"\xff")
    place = tmp_path / ("file" if variable == "HF_TOKEN_PATH" else "file/below")
    done = child.python("doctor.py", **{variable: str(place)})
    assert "Traceback" not in done.stderr, done.stderr[-2000:]
    assert re.search(rf"WRONG  token +the file {place}\S* cannot be read \(", done.stdout)
    # It may be any file or folder that a variable names: nobody is told to delete that.
    assert "unset HF_TOKEN_PATH or HF_HOME" in done.stdout and "delete" not in done.stdout


def test_it_runs_where_output_has_no_encoding(monkeypatch):
    """In a notebook, by `%run doctor.py`."""
    monkeypatch.setattr(doctor, "examine", lambda live: [])
    monkeypatch.setattr(doctor, "report", lambda checks: "all of it")
    monkeypatch.setattr(sys, "stdout", said := mock.Mock(spec=["write", "flush"]))
    assert doctor.main([]) == 0 and said.write.call_args_list[0].args == ("all of it",)


def test_a_certificate_is_told_from_a_dead_cable(monkeypatch):
    def fails(error):
        monkeypatch.setattr(httpx2, "get", mock.Mock(side_effect=error))
        return doctor.live_permission(*doctor._whoami(TOKEN))

    unknown = httpx2.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate")
    assert wrong(fails(unknown), "does not trust the certificate", cure="SSL_CERT_FILE")
    assert "REQUESTS_CA_BUNDLE is not read" in fails(unknown).cure
    assert wrong(fails(httpx2.ConnectError("no route")), "no route", cure="check the connection")
    assert wrong(fails(ImportError("socksio is not installed")), "socksio", cure="connection")
    assert wrong(fails(FileNotFoundError(2, "No such file")), "No such file", cure="SSL_CERT_FILE")
    monkeypatch.setenv("SSLKEYLOGFILE", "/nowhere/keys")
    lost = fails(FileNotFoundError(2, "No such file", "/nowhere/keys"))
    assert wrong(lost, "SSLKEYLOGFILE", cure="unset SSLKEYLOGFILE")
    assert wrong(fails(httpx2.InvalidURL("Invalid port")), "Invalid port", cure="connection")
