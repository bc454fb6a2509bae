"""helpers/ keeps its shape, and the guards that say so refuse one that does not."""

import os
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
from guards import ROOT, house


def test_nothing_is_larger_than_it_may_be():
    assert house.sizes(ROOT) == []


def test_what_one_file_may_do_no_other_does():
    assert house.alone(ROOT / "helpers") == []


def test_no_import_goes_round_in_a_circle():
    assert house.circle() == []


def lint_imports(folder):
    code = "from importlinter.cli import lint_imports_command as run; run()"
    command = [sys.executable, "-c", code, "--no-cache", "--no-logo"]
    how = {"cwd": folder, "capture_output": True, "text": True, "timeout": 300}
    return subprocess.run(command, env={**os.environ, "COLUMNS": "200"}, **how)


def test_every_import_goes_down():
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout


# ---- each refuses an example of what it is there to refuse -------------------------------------


@pytest.fixture
def course(tmp_path):
    """A copy of helpers/ and authoring/ to spoil."""
    no_code = ("node_modules", "recordings", "__pycache__", "*.json", "*.toml")
    for name in ("helpers", "authoring"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns(*no_code))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "tests").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    "file, count, said",
    [
        ("helpers/retry/waits.py", 301, "waits.py: .* lines; a module has 300"),
        ("helpers/retry/more.py", 1151, "helpers/retry/: .* lines; at most 1150"),
        ("helpers/replay/more.py", 751, "helpers/replay/: .*at most 750"),
        ("helpers/faults/more.py", 1051, "helpers/faults/: .*at most 1050"),
        ("helpers/browser/more.py", 421, "helpers/browser/: .*at most 420"),
        ("helpers/wire/more.py", 701, "helpers/wire/: .*at most 700"),
        ("helpers/data/more.py", 31, "helpers/data/: .*at most 30"),
        ("helpers/exercises/more.py", 5201, "helpers/exercises/: .*at most 5200"),
        ("helpers/exercises/lessons/more.py", 3701, "helpers/exercises/lessons/: .*at most 3700"),
        ("helpers/models.py", 1901, "the door of helpers/: .*at most 1900"),
        ("helpers/retry/more.py", 10_501, "^helpers/: .*at most 10500"),
        ("helpers/eleventh.py", 1, "11 files at the door; at most 10"),
        ("tests/test_more.py", 19_001, "tests/: 19001 lines; at most 19000"),
    ],
)
def test_sizes(course, file, count, said):
    (course / "helpers/tenth.py").touch()  # the door has nine
    (course / file).write_text("x = 1\n" * count)
    problems = house.sizes(course)
    assert any(re.search(said, problem) for problem in problems), problems


def test_what_is_as_large_as_it_may_be_is_fine(course):
    (course / "tests/test_more.py").write_text("x = 1\n" * 19_000)
    assert house.sizes(course) == []


TAB, ENVIRONMENT, STREAM = house.ALONE


@pytest.mark.parametrize(
    "what, line",
    [
        (TAB, 'HERE = sys.platform == "emscripten"'),
        (TAB, 'HERE = sys.platform.startswith("emscripten")'),
        (TAB, 'HERE = hasattr(sys, "_emscripten_info")'),
        (TAB, 'HERE = "pyodide" in sys.modules'),
        (TAB, 'HERE = platform.machine() == "wasm32"'),
        (TAB, "import js"),
        (TAB, "import pyodide"),
        (TAB, "from pyodide.ffi import run_sync"),
        (ENVIRONMENT, 'os.environ["HF_TOKEN"] = token'),
        (ENVIRONMENT, "os.environ[name] = value"),
        (ENVIRONMENT, "os.environ[name] += value"),
        (ENVIRONMENT, "os.environ |= {}"),
        (ENVIRONMENT, "os.environ.pop('HF_TOKEN', None)"),
        (ENVIRONMENT, "os.environ.update(kept)"),
        (ENVIRONMENT, "os.environ.setdefault(name, value)"),
        (ENVIRONMENT, "os.environ.clear()"),
        (ENVIRONMENT, "del os.environ['HF_TOKEN']"),
        (ENVIRONMENT, "environ = os.environ"),
        (ENVIRONMENT, "change(os.environ)"),
        (ENVIRONMENT, "from os import environ"),
        (ENVIRONMENT, "os.environb[name] = value"),
        (ENVIRONMENT, "os.putenv(name, value)"),
        (ENVIRONMENT, "os.unsetenv(name)"),
        (ENVIRONMENT, "context = patch.dict(os.environ, HF_TOKEN=token)"),
        (ENVIRONMENT, 'context = patch.dict("os.environ", HF_TOKEN=token)'),
        (ENVIRONMENT, 'getattr(os, "environ")[name] = value'),
        (STREAM, r'blocks = content.split(b"\n\n")'),
        (STREAM, r'blocks = content.split(b"\r\n\r\n")'),
        (STREAM, r'blocks = re.split(r"\r?\n\r?\n", text)'),
        (STREAM, r'blocks = re.split(r"\n{2,}", text)'),
        (STREAM, r'blocks = re.split(r"(\r?\n){2}", text)'),
        (STREAM, 'found = line.startswith(b"data:")'),
        (STREAM, 'found = line[:5] == "data:"'),
        (STREAM, 'MARK = "data: "'),
    ],
)
def test_alone(tmp_path, what, line):
    models = tmp_path / "models.py"
    models.write_text(f'# {line}\n""" {line} """\n')
    assert house.alone(tmp_path) == []
    models.write_text(f"\n{line}\n")
    problems = house.alone(tmp_path)
    assert len(problems) == 1
    assert re.search(rf"^helpers/models\.py, line 2: only helpers/\w.* may {what}$", problems[0])


@pytest.mark.parametrize(
    "line",
    [
        'pace = os.environ.get("COURSE_PACE") or os.environ["COURSE_PACE"]',
        'known = "HF_TOKEN" in os.environ and "HF_TOKEN" not in os.environ',
        "names = {name for name in os.environ} | {**os.environ}.keys()",
        "for name, value in os.environ.items(): print(name)",
        r'sent = [f"data: {text}\n\n", "\n\n".join(texts), text.split("\r\n"), json["data"]]',
    ],
)
def test_what_everybody_may_do(tmp_path, line):
    (tmp_path / "models.py").write_text(line)
    assert house.alone(tmp_path) == []


@pytest.mark.parametrize(
    "file, line, modules",
    [
        ("helpers/wire/scopes.py", "import helpers.wire", {"helpers.wire", "helpers.wire.scopes"}),
        ("helpers/models.py", "import helpers", {"helpers", "helpers.models"}),
        (
            "helpers/retry/waits.py",
            "def late(): from .gate import RateGate",
            {"helpers.retry.waits", "helpers.retry.gate"},
        ),
    ],
)
def test_circles(course, file, line, modules, monkeypatch):
    (course / file).write_text(f"{(course / file).read_text()}\n{line}\n")
    monkeypatch.syspath_prepend(course)
    monkeypatch.delitem(sys.modules, "helpers")
    assert modules <= set(house.circle())


@pytest.mark.parametrize(
    "file, line, contract",
    [
        ("helpers/retry/waits.py", "from helpers.models import models", "retry/ is taken along"),
        ("helpers/retry/waits.py", "import numpy", "retry/ is taken along"),
        ("helpers/retry/waits.py", "import openai", "retry/ is taken along"),
        ("helpers/retry/waits.py", "import huggingface_hub", "retry/ is taken along"),
        ("helpers/wire/scopes.py", "from helpers import session", "Floors"),
        ("helpers/session.py", "import authoring.derive", "What learners run"),
        ("helpers/retry/waits.py", "from helpers.retry import policy", "of a room"),
    ],
)
def test_floors(course, file, line, contract):
    path = course / file
    path.write_text(f"{path.read_text()}\n{line}\n")
    done = lint_imports(course)
    assert done.returncode == 1 and re.search(f"{contract}.* BROKEN", done.stdout), done.stdout


def test_every_room_and_file_has_its_floor():
    """Each file at the door and each room is named in the floors, and a room's size is limited."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    floors = contracts["contracts"][0]
    assert floors["exhaustive"]
    named = {name.strip() for floor in floors["layers"] for name in floor.split("|")}
    files = [path for path in (ROOT / "helpers").glob("*.py") if path.stem != "__init__"]
    rooms = [path.parent for path in (ROOT / "helpers").glob("*/__init__.py")]
    assert named == {path.stem for path in files + rooms}
    assert house.ROOMS.keys() == {room.name for room in rooms}
