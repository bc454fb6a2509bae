"""Wrong answers as edits of the committed solution: `old -> new`, so they can't drift from it.

    DRAW = wrong("draw", [("seed=seed", "seed=42", "The seed in the request is 42"), …])

An edit that doesn't fit the solution exactly once is an error; what is no edit is written out as
the function's body.
"""

import ast
import json
import textwrap
from pathlib import Path

from check_cases import stub


def sources(path: Path) -> dict[str, str]:
    """{name of a function: its source} from the cells of a solution; under "" its imports."""
    cells = json.loads(path.read_text())["cells"]
    cells = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    solved = [cell for cell in cells if "### BEGIN SOLUTION" in cell]
    name = lambda cell: cell.split("(")[0].removeprefix("async ").split("def ")[1]
    found = {name(cell): cell for cell in map(_from_def, solved)}
    nodes = [node for cell in cells for node in ast.parse(cell).body]
    imports = [ast.unparse(one) for one in nodes if isinstance(one, (ast.Import, ast.ImportFrom))]
    return found | {"": "\n".join(imports)}


def _from_def(cell: str) -> str:
    lines = cell.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(("def ", "async def ")))
    return "\n".join(line for line in lines[start:] if "### " not in line)


def function(source: str, name: str, others: dict[str, str], names: dict):
    """The function that the source defines, among the solution's other functions."""
    space = dict(names)
    exec(others[""], space)
    for text in others.values():
        exec(text, space)
    exec(source, space)
    return space[name]


def wrong(name: str, cases: list[tuple], others: dict[str, str], **names) -> list[tuple]:
    """[(function, said), …]: the answers that the cases make of the solution of `name`.

    cases : (old, new, …, said), edits made one after the other, or (body, said).
    others : the sources() of the solution, so that an answer may call its other functions.
    names : what else the answers may use.
    Raises AssertionError if an `old` does not stand in the solution exactly once.
    """
    made = []
    for *edits, said in cases:
        source = others[name]
        if len(edits) == 1:
            head = source[: source.index("):") + 2]
            source = head + "\n" + textwrap.indent(textwrap.dedent(edits[0]).strip("\n"), "    ")
            edits = []
        for old, new in zip(edits[::2], edits[1::2], strict=True):
            stands = source.count(old)
            assert stands == 1, f"{name}: {old!r} stands {stands} times in the solution"
            source = source.replace(old, new)
        made.append((function(source, name, others, names), said))
    return made


def hides(arguments: str, instead: str) -> str:
    """The body of an answer that returns `instead` where an error should come through."""
    return f"try:\n    return solved({arguments})\nexcept Exception:\n    return {instead}"


def exercise(name: str, tasks: list, mistakes: tuple, right: list, **names) -> tuple[list, list]:
    """What CheckCases needs of an exercise: its `wrong` and its `right`.

    Among `names`, a body finds `solved`, the task's solution.
    mistakes : for each task its cases, as wrong() takes them; the stub is one of them anyway.
    right : (task, old, new, …) or (task, body); the solutions are right anyway.
    """
    texts = sources(Path(f"solutions/{name}.ipynb"))
    solved = {task.name: function(texts[task.name], task.name, texts, names) for task in tasks}

    def made(task, cases):
        return wrong(task.name, cases, texts, **names, solved=solved[task.name])

    bad = [
        (task, answer, said)
        for task, cases in zip(tasks, mistakes, strict=True)
        for answer, said in [(stub, "still empty"), *made(task, cases)]
    ]
    good = [(task, solved[task.name]) for task in tasks]
    return bad, good + [(task, made(task, [(*edits, "")])[0][0]) for task, *edits in right]
