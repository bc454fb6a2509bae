"""The house keeps its shape: sizes, and the things that exactly one file may do. Who may import
whom is import-linter's."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

DOOR_FILES, DOOR_LINES = 10, 1_900
ROOMS = {"retry": 1_150, "replay": 750, "faults": 1_050, "exercises": 5_200, "browser": 420}
HELPERS, TESTS, LESSON_CHECKS, MODULE = 10_500, 19_000, 3_700, 300

# What exactly one place may do, by its file or folder below helpers/, and how it shows in the code.
ALONE = {
    "ask whether this is a browser tab": ("browser", re.compile(r"emscripten|pyodide_js")),
    "write HF_TOKEN": (
        "tokens.py",
        re.compile(
            r"""environ\[["']HF_TOKEN["']\]\s*=|environ\.(?:pop|setdefault)\(\s*["']HF_TOKEN"""
            r"""|del os\.environ\[["']HF_TOKEN|environ\.update\("""
        ),
    ),
    "read event streams": (
        "sse.py",
        re.compile(r"""\.(?:split|partition|startswith|removeprefix)\(\s*b?["'](?:data:|\\n\\n)"""),
    ),
}


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def sizes(root: Path) -> list[str]:
    """One line for each part of helpers/ and tests/ below `root` that is larger than it may be."""
    helpers, tests = root / "helpers", root / "tests"
    every = sorted(helpers.rglob("*.py"))
    door = sorted(helpers.glob("*.py"))
    problems = [
        f"{path.relative_to(root).as_posix()}: {lines(path)} lines; a module has {MODULE} at most"
        for path in every
        if lines(path) > MODULE
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
        if (found := sum(map(lines, paths))) > most:
            problems.append(f"{name}: {found} lines; at most {most}. Say less, or share more")
    return problems


def alone(helpers: Path) -> list[str]:
    """One line for each place in helpers/ that does what only another one may do."""
    problems = []
    for what, (where, sign) in ALONE.items():
        for path in sorted(helpers.rglob("*.py")):
            name = path.relative_to(helpers).as_posix()
            if name == where or name.startswith(f"{where}/"):
                continue
            problems += [
                f"helpers/{name}, line {number}: only helpers/{where} may {what}"
                for number, line in _code(path.read_text(encoding="utf-8"))
                if sign.search(line)
            ]
    return problems


def _code(source: str) -> Iterator[tuple[int, str]]:
    """(number, line) of a module without comments and docstrings."""
    said = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            said |= set(range(node.lineno, node.end_lineno + 1))
    for number, line in enumerate(source.splitlines(), 1):
        if number not in said and not line.lstrip().startswith("#"):
            yield number, line.split("  # ")[0]
