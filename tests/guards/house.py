"""The house keeps its shape: sizes, and the things that exactly one file may do. Who may import
whom is import-linter's."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

DOOR_FILES, DOOR_LINES = 10, 1_900
ROOMS = {"retry": 1_150, "replay": 750, "faults": 1_050, "exercises": 5_200, "browser": 420}
HELPERS, TESTS, LESSON_CHECKS, MODULE = 10_500, 19_000, 3_700, 300
# What is larger still, with its size of today: it may shrink, and then the line here goes down.
NOT_YET: dict[str, int] = {
    "tests/": 19_816,
}

# What exactly one place may do, by its file or folder below helpers/.
ALONE = {
    "ask whether this is a browser tab": "browser",
    "write HF_TOKEN": "tokens.py",
    "read event streams": "sse.py",
}
TAB = re.compile(r"emscripten|pyodide_js")
STREAM = re.compile(r"""\.(?:split|partition|startswith|removeprefix)\(\s*b?["'](?:data:|\\n\\n)""")
ENVIRON = ("os.environ", "environ")


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def sizes(root: Path) -> list[str]:
    """One line for each part of helpers/ and tests/ below `root` that is larger than it may be."""
    helpers, tests = root / "helpers", root / "tests"
    every = sorted(helpers.rglob("*.py"))
    door = sorted(helpers.glob("*.py"))
    problems = [
        f"{name}: {lines(path)} lines; a module has {MODULE} at most"
        for path in every
        if lines(path) > NOT_YET.get(name := path.relative_to(root).as_posix(), MODULE)
    ]
    if len(door) > DOOR_FILES:
        problems.append(f"helpers/: {len(door)} files at the door; at most {DOOR_FILES}")
    parts = {
        "the door of helpers/": (door, DOOR_LINES),
        "helpers/": (every, HELPERS),
        "tests/": (tests.rglob("*.py"), TESTS),
        "helpers/exercises/lessons/": (
            helpers.glob("exercises/lessons/**/*.py"),
            LESSON_CHECKS,
        ),
        **{
            f"helpers/{room}/": ((helpers / room).rglob("*.py"), most)
            for room, most in ROOMS.items()
        },
    }
    for name, (paths, most) in parts.items():
        if (found := sum(map(lines, paths))) > (most := max(most, NOT_YET.get(name, 0))):
            problems.append(f"{name}: {found} lines; at most {most}. Say less, or share more")
    return problems


def alone(helpers: Path) -> list[str]:
    """One line for each place in helpers/ that does what only another one may do."""
    problems = []
    for path in sorted(helpers.rglob("*.py")):
        name = path.relative_to(helpers).as_posix()
        for number, what in sorted(_doings(path.read_text(encoding="utf-8"))):
            where = ALONE[what]
            if name != where and not name.startswith(f"{where}/"):
                problems.append(f"helpers/{name}, line {number}: only helpers/{where} may {what}")
    return problems


def _doings(source: str) -> Iterator[tuple[int, str]]:
    """(line, which of ALONE) for each time that a module does one of them, comments apart."""
    for node in ast.walk(ast.parse(source)):
        written = ()
        if isinstance(node, ast.Assign | ast.Delete):
            written = [ast.unparse(target) for target in node.targets]
        elif isinstance(node, ast.Call):
            called = ast.unparse(node)
            if STREAM.search(called):
                yield node.lineno, "read event streams"
            owner, _, method = ast.unparse(node.func).rpartition(".")
            if owner in ENVIRON and method in ("pop", "setdefault", "update"):
                first = ast.unparse(node.args[0]) if node.args else ""
                written = [f"environ[{first}]" if method != "update" else "environ['HF_TOKEN']"]
        if any(one.endswith("environ['HF_TOKEN']") for one in written):
            yield node.lineno, "write HF_TOKEN"
        asks = isinstance(node, ast.Compare | ast.Import | ast.ImportFrom)
        if asks and TAB.search(ast.unparse(node)):
            yield node.lineno, "ask whether this is a browser tab"
