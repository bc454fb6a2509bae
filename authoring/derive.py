"""`make exercises`: derive exercises/ from solutions/, and run both so that their outputs are kept.

    python -m authoring.derive              all of them
    python -m authoring.derive 01 04        these
    python -m authoring.derive --check      change nothing; end with 1 if a source would change

In a solution, what the learner is to write stands between two lines:

    ### BEGIN SOLUTION
    …
    ### END SOLUTION

In the exercise there is `raise NotImplementedError("your code here")` in its place, or what follows
the colon in `### BEGIN SOLUTION: answer = ...`. A cell tagged `solution-only` is left out.
Everything else is the same, so exercise and solution cannot disagree.
"""

import argparse
import copy
import re
import sys
from pathlib import Path

import nbformat

from authoring.execute import METADATA, NotebookFailed, execute, save

ROOT = Path(__file__).resolve().parent.parent
STUB = 'raise NotImplementedError("your code here")'
BEGIN, END = (
    re.compile(r"^(\s*)### BEGIN SOLUTION(?::\s*(.*))?\s*$"),
    re.compile(r"^\s*### END SOLUTION\s*$"),
)


class BadMarkers(ValueError):
    """A solution whose markers do not pair up, or that has none."""


def derive_source(source: str, where: str) -> tuple[str, int]:
    """One cell's source with its solutions taken out, and how many there were. Raises
    BadMarkers."""
    lines, count, inside = [], 0, None
    for number, line in enumerate(source.split("\n"), 1):
        begin, end = BEGIN.match(line), END.match(line)
        if (begin and inside) or (end and not inside):
            raise BadMarkers(
                f"{where}, line {number}:"
                f" {'BEGIN inside a solution' if begin else 'END without BEGIN'}"
            )
        if begin:
            inside, count = number, count + 1
            lines.append(begin[1] + (begin[2] or STUB))
        elif end:
            inside = None
        elif not inside:
            if "BEGIN SOLUTION" in line or "END SOLUTION" in line:
                raise BadMarkers(
                    f"{where}, line {number}: a marker is a line of its own, `### BEGIN SOLUTION`"
                    " or `### END SOLUTION`"
                )
            lines.append(line)
    if inside:
        raise BadMarkers(f"{where}, line {inside}: BEGIN without END")
    return "\n".join(lines), count


def derive(solution: nbformat.NotebookNode, name: str) -> nbformat.NotebookNode:
    """The exercise of a solution, not yet run. Raises BadMarkers if the markers do not pair up or
    there are none."""
    exercise, found = copy.deepcopy(solution), 0
    exercise.cells = [
        cell for cell in exercise.cells if "solution-only" not in cell.metadata.get("tags", [])
    ]
    for cell in exercise.cells:
        if cell.get("id") == "badges":  # the same links, to this notebook (authoring/badges.py)
            cell.source = cell.source.replace("solutions/", "exercises/")
        if cell.cell_type == "code":
            cell.source, count = derive_source(cell.source, f"{name}, cell {cell.id}")
            found += count
            cell.outputs, cell.execution_count = [], None
    if not found:
        raise BadMarkers(
            f"{name}: no `### BEGIN SOLUTION` in any cell, so there is nothing to solve"
        )
    exercise.metadata.update(METADATA)
    return exercise


def sources(notebook: nbformat.NotebookNode) -> list[tuple]:
    """What an author writes, without outputs: (id, type, source, tags) of each cell."""
    return [
        (cell.get("id"), cell.cell_type, cell.source, tuple(cell.metadata.get("tags", [])))
        for cell in notebook.cells
    ]


def differences(root: Path = ROOT) -> list[str]:
    """One line for each exercise that is not what its solution gives; empty when all are."""
    problems, solutions = (
        [],
        {path.name: path for path in sorted((root / "solutions").glob("*.ipynb"))},
    )
    for name in sorted(
        path.name for path in (root / "exercises").glob("*.ipynb") if path.name not in solutions
    ):
        problems.append(f"exercises/{name}: there is no solutions/{name}")
    for name, path in solutions.items():
        target = root / "exercises" / name
        wanted = derive(nbformat.read(path, as_version=4), name)
        if not target.exists():
            problems.append(f"exercises/{name}: missing; run `make exercises`")
        elif (there := sources(nbformat.read(target, as_version=4))) != (want := sources(wanted)):
            first = next(
                (i for i, (a, b) in enumerate(zip(there, want), 1) if a != b),
                min(len(there), len(want)) + 1,
            )
            problems.append(
                f"exercises/{name}: cell {first} is not what solutions/{name} gives; change the"
                " solution and run `make exercises`"
            )
    return problems


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m authoring.derive", description=__doc__.splitlines()[0]
    )
    parser.add_argument("lessons", nargs="*", help="numbers or names; all if none is given")
    parser.add_argument(
        "--check", action="store_true", help="change nothing, say what would change"
    )
    options = parser.parse_args(arguments)
    if options.check:
        problems = differences(root)
        print("\n".join(problems) or "every exercise is what its solution gives")
        return 1 if problems else 0
    paths = sorted((root / "solutions").glob("*.ipynb"))
    if missing := [
        name for name in options.lessons if not any(path.name.startswith(name) for path in paths)
    ]:
        raise SystemExit(f"no solution begins with {', '.join(missing)}")
    failed = 0
    for path in paths:
        if options.lessons and not any(path.name.startswith(name) for name in options.lessons):
            continue
        try:
            exercise = derive(nbformat.read(path, as_version=4), path.name)
            execute(path)
            target = root / "exercises" / path.name
            target.parent.mkdir(exist_ok=True)
            changed = save(execute(target, notebook=exercise, write=False), target)
            print(f"{path.stem}: {'derived anew' if changed else 'unchanged'}")
        except (BadMarkers, NotebookFailed) as error:
            failed += 1
            print(f"FAILED {error}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
