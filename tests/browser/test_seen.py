"""Each look at a page finds what it is there for: a notebook in which everything is wrong once."""

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from browser import seen

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
    "rkJggg=="
)
RIGHT = f"<img alt='Two pixels are as good as one.' src='data:image/png;base64,{PIXEL}'>"
SHOWN = {
    "silent": f"<img alt='' src='data:image/png;base64,{PIXEL}'>",
    "broken": "<img alt='Two takes 5 calls, one only 3.' src='data:image/png;base64,AAAA'>",
    "too wide": (
        "<img alt='Two takes 5 calls, one only 3.' style='width: 3000px; height: 20px; max-width:"
        f" none' src='data:image/png;base64,{PIXEL}'>"
    ),
    "clipped": (
        "<div style='overflow: hidden; width: 80px; white-space: nowrap'>more than fits into these"
        " eighty pixels</div>"
    ),
    "pale": "<p style='color: #bbb; background: #fff'>hard to read</p>",
}


def shown(code: str):
    return new_code_cell(f"from IPython.display import HTML\nHTML({code!r})")


def test_what_is_wrong_is_found_and_what_is_right_is_not(open_notebook, lab):
    cells = [
        new_markdown_cell("# All of it right"),
        shown(RIGHT),
        *map(shown, SHOWN.values()),
        new_code_cell("1 / 0", metadata={"tags": ["raises-exception"]}),
        new_code_cell("1 / 0"),
        new_code_cell("'never run'"),
    ]
    for i, cell in enumerate(cells):
        cell["id"] = f"cell-{i}"
    (lab.folder / "bad").mkdir(exist_ok=True)
    nbformat.write(new_notebook(cells=cells), lab.folder / "bad" / "bad.ipynb")
    notebook = open_notebook("bad/bad.ipynb")
    notebook.run_all()
    silent, broken, wide, clipped, pale, meant, unmeant, never = range(2, 10)

    assert seen.errors(notebook) == [
        f"cell {unmeant}: ZeroDivisionError: division by zero",
        f"cell {never} did not run",
    ]
    assert [problem.split(",")[0] for problem in seen.pictures(notebook)] == [
        f"cell {silent}",
        f"cell {broken}",
        f"cell {wide}",
    ]
    assert [problem.split(":")[0] for problem in seen.clipped(notebook)] == [f"cell {clipped}"]
    with notebook.unrolled():
        light = seen.barriers(notebook)
        assert [problem.split(": ")[:2] for problem in light] == [
            [f"cell {pale}", "color-contrast"]
        ], light
        notebook.dark()
        dark = seen.barriers(notebook)
        assert [problem.split(": ")[:2] for problem in dark] == [
            [f"cell {pale}", "color-contrast"]
        ], dark


def test_a_complaint_in_the_console_or_a_request_elsewhere_is_kept(page, open_notebook):
    open_notebook("exercises/01_first_call.ipynb")
    page.evaluate(
        "() => { console.error('our own mistake'); fetch('http://models.invalid/x').catch(() =>"
        " null) }"
    )
    page.wait_for_function("() => new Promise(done => setTimeout(() => done(true), 300))")
    said = list(page.complaints)
    page.complaints.clear()
    assert (
        "console: our own mistake" in said and "left this machine: http://models.invalid/x" in said
    )
