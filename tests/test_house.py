"""helpers/ keeps its shape, and the guards that say so refuse one that does not."""

import re
import shutil
import subprocess
import sys
import tomllib

import pytest
from guards import ROOT, house


def test_nothing_is_larger_than_it_may_be():
    assert house.sizes(ROOT) == []


def test_what_is_larger_still_may_shrink_but_not_grow(course, monkeypatch):
    monkeypatch.setattr(house, "NOT_YET", {"tests/": 19_010})
    for count, problems in ((19_010, 0), (19_011, 1)):
        (course / "tests/test_more.py").write_text("x = 1\n" * count)
        assert sum("tests/:" in one for one in house.sizes(course)) == problems
    assert all(re.search(r"^(helpers|tests)/", name) for name in house.NOT_YET)


def test_what_one_file_may_do_no_other_does():
    assert house.alone(ROOT / "helpers") == []


def lint_imports(folder):
    code = "from importlinter.cli import lint_imports_command as run; run()"
    command = [sys.executable, "-c", code, "--no-cache", "--no-logo"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


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
        ("helpers/exercises/more.py", 5201, "helpers/exercises/: .*at most 5200"),
        ("helpers/exercises/lessons/more.py", 3701, "helpers/exercises/lessons/: .*at most 3700"),
        ("helpers/models.py", 1901, "the door of helpers/: .*at most 1900"),
        ("helpers/retry/more.py", 10_501, "^helpers/: .*at most 10500"),
        ("helpers/eleventh.py", 1, "11 files at the door; at most 10"),
        ("tests/test_more.py", 19_001, "tests/: 19001 lines; at most 19000"),
    ],
)
def test_sizes(course, file, count, said, monkeypatch):
    (course / "helpers/tenth.py").touch()  # the door has nine
    (course / file).write_text("x = 1\n" * count)
    monkeypatch.setattr(house, "NOT_YET", {})
    problems = house.sizes(course)
    assert any(house.re.search(said, problem) for problem in problems), problems


@pytest.mark.parametrize(
    "line, said",
    [
        ('HERE = sys.platform == "emscripten"', "only helpers/browser may ask"),
        ('os.environ["HF_TOKEN"] = token', "only helpers/tokens.py may write HF_TOKEN"),
        ("os.environ.pop('HF_TOKEN', None)", "only helpers/tokens.py may write HF_TOKEN"),
        ("del os.environ['HF_TOKEN']", "only helpers/tokens.py may write HF_TOKEN"),
        ("os.environ.update(kept)", "only helpers/tokens.py may write HF_TOKEN"),
        (r'blocks = content.split(b"\n\n")', "only helpers/sse.py may read event streams"),
        ('found = line.startswith(b"data:")', "only helpers/sse.py may read event streams"),
    ],
)
def test_alone(course, line, said):
    models = course / "helpers/models.py"
    before = len(house.alone(course / "helpers"))
    models.write_text(f'{models.read_text()}\n# {line}\n""" {line} """\n')
    assert len(house.alone(course / "helpers")) == before
    models.write_text(f"{models.read_text()}\n{line}\n")
    problems = house.alone(course / "helpers")
    assert len(problems) == before + 1
    assert any("helpers/models.py, line" in one and said in one for one in problems)


@pytest.mark.parametrize(
    "file, line, contract",
    [
        ("helpers/retry/waits.py", "from helpers.models import models", "retry/ is taken along"),
        ("helpers/wire/scopes.py", "from helpers import session", "Floors"),
        ("helpers/session.py", "import authoring.derive", "What learners run"),
        ("helpers/retry/waits.py", "from helpers.retry import policy", "inside a room"),
    ],
)
def test_floors(course, file, line, contract):
    path = course / file
    path.write_text(f"{path.read_text()}\n{line}\n")
    done = lint_imports(course)
    broken = [row for row in done.stdout.splitlines() if "BROKEN" in row or contract in row]
    assert done.returncode == 1 and any(contract in row for row in broken), done.stdout


def test_every_room_and_file_has_its_floor():
    """A new file at the door is named in the floors, or the contract above says so."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    floors = contracts["contracts"][0]
    assert floors["exhaustive"]
    named = {name.strip() for floor in floors["layers"] for name in floor.split("|")}
    files = [path for path in (ROOT / "helpers").glob("*.py") if path.stem != "__init__"]
    rooms = [path.parent for path in (ROOT / "helpers").glob("*/__init__.py")]
    assert named == {path.stem for path in files + rooms}
