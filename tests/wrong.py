"""Wrong answers as edits of the committed solution, so they can't drift from it.

    DRAW_WRONG = [
        ("seed=seed", "seed=42", "The seed in the request is 42"),  # old, new, what is said of it
        (("in steps", "in [5]"), ("return ", ""), "returns nothing"),  # more edits than one
        ("print(solved(client))", "prints"),  # no edit: the function's body
        '''
        # prints
        picture = solved(client)
        print(picture)''',  # a body of several lines
    ]

An edit that doesn't fit the solution exactly once is an error.
"""

import ast
import json
import textwrap
from pathlib import Path

# What the exercise holds before the learner begins.
STUB = ('raise NotImplementedError("your code here")', "still empty")
# What an answer may use besides what its notebook imports and defines.
OFTEN_USED = """
import contextlib, contextvars, functools, heapq, io, itertools, json, os, re, time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from fractions import Fraction
import httpx2
from huggingface_hub import AsyncInferenceClient, HfApi, InferenceClient, create_inference_endpoint
from huggingface_hub.errors import HfHubHTTPError, InferenceEndpointTimeoutError
from huggingface_hub.errors import TextGenerationError
from openai import AsyncOpenAI, OpenAI
from helpers.endpoints import Workload, documented_price
from helpers.retry import RetryPolicy, backoff, classify, parse_retry_after
own = InferenceClient()  # where the task gives a client
"""


def sources(path: Path) -> dict[str, str]:
    """{name of a function: its source} from the cells of a solution; under "" what they import and
    the classes that they define."""
    cells = json.loads(path.read_text())["cells"]
    cells = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    solved = [cell for cell in cells if "### BEGIN SOLUTION" in cell]
    nodes = [node for cell in cells for node in ast.parse(cell).body]
    given = (ast.Import, ast.ImportFrom, ast.ClassDef)
    found = {"": "\n".join(ast.unparse(node) for node in nodes if isinstance(node, given))}
    return found | {name_in(cell): cell for cell in map(_from_def, solved)}


def name_in(source: str) -> str:
    return source.split("(")[0].split("def ")[1]


def _from_def(cell: str) -> str:
    lines = cell.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(("def ", "async def ")))
    return "\n".join(line for line in lines[start:] if "### " not in line)


def lines_of(text: str) -> str:
    """What stands between the quotes of a test, as it would stand in a cell."""
    return textwrap.dedent(text).strip("\n")


def function(source: str, others: dict[str, str], names: dict):
    """The function that the source defines, among the solution's other functions."""
    space = dict(names)
    for text in (*others.values(), source):
        exec(text, space)
    return space[name_in(source)]


def edited(source: str, edits: list) -> str:
    """The source with the edits made one after the other, or with another body."""
    if isinstance(edits[0], str) and len(edits) == 1:
        head = source[: source.index("):") + 2]
        return head + "\n" + textwrap.indent(lines_of(edits[0]), "    ")
    for old, new in [edits] if isinstance(edits[0], str) else edits:
        stands = source.count(old)
        assert stands == 1, f"{name_in(source)}: {old!r} stands {stands} times in the solution"
        source = source.replace(old, new)
    return source


def wrong(name: str, cases: list, others: dict[str, str], **names) -> list[tuple]:
    """[(function, said), …]: the answers that the cases make of the solution of `name`.

    others : the sources() of the solution, so that an answer may call its other functions.
    names : what else the answers may use.
    Raises AssertionError if an edit's `old` does not stand in the solution exactly once.
    """
    made = []
    for case in cases:
        if isinstance(case, str):
            said, body = lines_of(case).removeprefix("# ").split("\n", 1)
            case = (body, said)
        *edits, said = case
        made.append((function(edited(others[name], edits), others, names), said))
    return made


def hides(arguments: str, instead: str) -> str:
    """The body of an answer that returns `instead` where an error should come through."""
    return f"try:\n    return solved({arguments})\nexcept Exception:\n    return {instead}"


def exercise(name: str, tasks: list, mistakes: tuple, right: list, **names) -> tuple[list, list]:
    """What CheckCases needs of an exercise: its `wrong` and its `right`.

    Among `names`, a body finds `solved`, the task's solution.
    mistakes : for each task its cases, as wrong() takes them; the stub is one of them anyway.
    right : (task, edits…) or (task, body), or a whole function; the solutions are right anyway.
    """
    texts, space = sources(Path(f"solutions/{name}.ipynb")), {}
    exec(OFTEN_USED + texts.pop(""), space)
    space |= names
    solved = {task.name: function(texts[task.name], texts, space) for task in tasks}

    def made(task, cases):
        return wrong(task.name, cases, texts, **space, solved=solved[task.name])

    bad = [
        (task, answer, said)
        for task, cases in zip(tasks, mistakes, strict=True)
        for answer, said in made(task, [STUB, *cases])
    ]
    good = [(task, solved[task.name]) for task in tasks]
    named = {task.name: task for task in tasks}
    for case in right:
        if isinstance(case, str):
            answer = function(lines_of(case), texts, space)
            good.append((named[answer.__name__], answer))
        else:
            task, *edits = case
            good.append((task, made(task, [(*edits, "")])[0][0]))
    return bad, good
