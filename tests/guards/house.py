"""The house keeps its shape: sizes, circles, and the things that exactly one place may do. Who may
import whom is import-linter's."""

import ast
import graphlib
import re
from collections.abc import Iterator
from pathlib import Path

import grimp

DOOR_FILES, DOOR_LINES = 10, 1_900
ROOMS = {
    "retry": 1_150,
    "replay": 750,
    "faults": 1_050,
    "exercises": 5_200,
    "browser": 420,
    "wire": 700,
    "data": 30,
}
HELPERS, TESTS, LESSON_CHECKS, MODULE = 10_500, 19_000, 3_700, 300

# What only these files and folders below helpers/ may do, and the words by which it is known: in
# names, imports and texts, docstrings and comments apart.
EOL = r"(?>(?:\r|\\r)?\??(?:\n|\\n)|\r|\\r)"  # as it is, or as a pattern has it
ALONE = {
    "ask whether this is a browser tab": (r"(?i)emscripten|pyodide|wasm|^js$", "browser"),
    "change the environment": (
        r"^(os\.)?(environb?|putenv|unsetenv)$",  # reading is free: _apart
        "tokens.py",
        "exercises/lessons/lesson_02_environment.py",  # for the code that a check runs
    ),
    "read event streams": (rf"^data:|{EOL}\)?(?:{EOL}|\{{2)", "sse.py"),
}
READS = {"get", "items", "keys", "values", "copy"}  # methods of a mapping


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def sizes(root: Path) -> list[str]:
    """One line for each part of helpers/ and tests/ below `root` that is larger than it may be."""
    helpers, tests = root / "helpers", root / "tests"
    every = sorted(helpers.rglob("*.py"))
    door = sorted(helpers.glob("*.py"))
    problems = [
        f"{path.relative_to(root).as_posix()}: {found} lines; a module has {MODULE} at most"
        for path in every
        if (found := lines(path)) > MODULE
    ]
    if len(door) > DOOR_FILES:
        problems.append(f"helpers/: {len(door)} files at the door; at most {DOOR_FILES}")
    parts = {
        "the door of helpers/": (door, DOOR_LINES),
        "helpers/": (every, HELPERS),
        "tests/": (tests.rglob("*.py"), TESTS),
        "helpers/exercises/lessons/": (helpers.glob("exercises/lessons/**/*.py"), LESSON_CHECKS),
        **{
            f"helpers/{room}/": ((helpers / room).rglob("*.py"), most)
            for room, most in ROOMS.items()
        },
    }
    for name, (paths, most) in parts.items():
        if (found := sum(map(lines, paths))) > most:
            problems.append(f"{name}: {found} lines; at most {most}. Say less, or share more")
    return problems


def circle() -> list[str]:
    """Modules of `helpers` that import each other in a circle, if any do. import-linter does not
    see the one of a room and its own parts."""
    graph = grimp.build_graph("helpers", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    try:
        graphlib.TopologicalSorter(imports).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def alone(helpers: Path) -> list[str]:
    """One line for each place in helpers/ that does what only another one may do."""
    problems = []
    for path in sorted(helpers.rglob("*.py")):
        name = path.relative_to(helpers).as_posix()
        for number, what in sorted(set(_doings(path.read_text(encoding="utf-8")))):
            _, *where = ALONE[what]
            if not any(name == one or name.startswith(f"{one}/") for one in where):
                only = " and ".join(f"helpers/{one}" for one in where)
                problems.append(f"helpers/{name}, line {number}: only {only} may {what}")
    return problems


def _doings(source: str) -> Iterator[tuple[int, str]]:
    """(line, which of ALONE) for each time that a module does one of them."""
    tree = ast.parse(source)
    apart = set(_apart(tree))
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(word)) | ast.Attribute(attr=word) | ast.alias(name=word):
                pass
            case ast.Constant(value=bytes(content)):
                word = content.decode("latin-1")
            case ast.ImportFrom(module=str(word)):
                pass
            case _:
                continue
        for what, (known_by, *_) in ALONE.items():
            if node not in apart and re.search(known_by, word):
                yield node.lineno, what


def _apart(tree: ast.AST) -> Iterator[ast.AST]:
    """Docstrings, texts that something is written with, and `os.environ` where it is only read."""
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant() as text):
                yield text
            case ast.JoinedStr(values=texts):
                yield from texts
            case ast.Call(func=ast.Attribute(value=ast.Constant() as text, attr="join")):
                yield text
            case ast.Call(func=ast.Attribute(value=mapping, attr=method)) if method in READS:
                yield mapping
            case ast.Subscript(value=mapping, ctx=ast.Load()):
                yield mapping
            case ast.For(iter=mapping) | ast.comprehension(iter=mapping):
                yield mapping
            case ast.Compare(ops=[ast.In() | ast.NotIn()], comparators=[ast.Attribute() as one]):
                yield one
            case ast.Dict(keys=keys, values=values):
                yield from (it for key, it in zip(keys, values) if key is None)
