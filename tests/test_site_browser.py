"""The site in a real browser: notebooks to the bottom, the committed outputs, no request to anybody
else, progress, widgets.

A lesson, an exercise and the lesson with the most asyncio in every run; all notebooks with
SITE_NOTEBOOKS=all (pages.yml). NumPy, Matplotlib and Pillow are not delivered here, as without a
network: cells that need them are named below and may fail, figures become tables, and everything
else must be as committed.
"""

import ast
import hashlib
import json
import os
import re
import zipfile
from pathlib import Path

import nbformat
import pytest

from authoring.site.__main__ import FOLDERS

pytest_plugins = ["site_fixtures"]

ROOT = Path(__file__).resolve().parent.parent
EVERY = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in FOLDERS
    for path in (ROOT / folder).glob("*.ipynb")
)
SOME = [name for name in EVERY if name.startswith(("notebooks/01", "exercises/01", "notebooks/03"))]
NOTEBOOKS = EVERY if os.environ.get("SITE_NOTEBOOKS") == "all" else SOME
# What says that a cell missed one of the three, directly.
MISSED = re.compile(r"This needs (NumPy|Pillow)|Please install Pillow")
# What a cell does that may ask for one of them. A cell without any of it must ask nobody.
ASKS = re.compile(
    r"\bnp\.|numpy|PIL|matplotlib|show\(|explore\(|figure|feature_extraction"
    r"|text_to_image|lines\(|bars\(|waits\(|card\.|open_exercise|embed|picture|image"
)


def results(outputs: list) -> list:
    """Outputs in the form in which they are compared: pieces of a stream joined, text only, an
    error without its address."""
    found = []
    for output in outputs:
        kind = output["output_type"]
        if kind == "stream":
            text = "".join(output["text"])
            if found and found[-1][0] == output["name"]:
                found[-1] = (output["name"], found[-1][1] + text)
            else:
                found.append((output["name"], text))
        elif kind == "error":
            found.append(
                ("error", f"{re.findall(r'[A-Za-z_]+', output['ename'])[-1]}: {output['evalue']}")
            )
        else:
            found.append((kind, "".join(output["data"].get("text/plain", ""))))
    return [(name, text.rstrip("\n")) for name, text in found]


def names(source: str) -> tuple[set[str], set[str]]:
    """The names a cell uses, and those it defines or changes in place."""
    used, made = set(), set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else made).add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            made.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            made |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        if (
            isinstance(node, (ast.Subscript, ast.Attribute))
            and isinstance(node.ctx, ast.Store)
            and isinstance(node.value, ast.Name)
        ):
            made.add(node.value.id)
    return used, made


class Followed:
    """Tells what a missing package explains: a cell that missed it, and cells that use what such a
    cell should have made."""

    def __init__(self):
        self.lost: set[str] = set()

    def explains(self, source: str, got: list) -> bool:
        used, made = names(source)
        text = "\n".join(text for _, text in got)
        missed = used | set(
            re.findall(r"NameError: name '(\w+)' is not defined", text)
        )  # also inside a function that it calls
        if not (MISSED.search(text) or missed & self.lost):
            return False
        # Its calls are missing from the log, too.
        self.lost |= made | {"session", "card"}
        return True


def test_what_a_missing_package_explains_is_followed_and_no_more():
    followed = Followed()
    assert not followed.explains("x = 1", [("error", "ValueError: no")])
    assert followed.explains(
        "import numpy as np\nv = np.array([1])", [("error", "AttributeError: This needs NumPy, …")]
    )
    assert followed.explains("w = len(v)", [("error", "NameError: name 'v' is not defined")])
    assert followed.explains("table['a'] = w", [("error", "NameError: name 'w' is not defined")])
    assert followed.explains("print(table)", [("stdout", "{}")])
    assert followed.explains("search('x')", [("error", "NameError: name 'v' is not defined")])
    assert not followed.explains("print(y)", [("error", "NameError: name 'y' is not defined")])


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_to_the_bottom(name, site, tab):
    notebook = nbformat.read(site / "files" / name, as_version=4)
    tab.open(name)
    followed, wrong, named = Followed(), [], []
    for index, cell in enumerate(notebook.cells):
        tags = cell.metadata.get("tags", [])
        if cell.cell_type != "code" or "nbval-skip" in tags:
            continue
        before = len(tab.foreign)
        got, kept = results(tab.run(index)["outputs"]), results(cell.outputs)
        if len(tab.foreign) > before and not ASKS.search(cell.source):
            wrong.append(f"cell {index} asked for {tab.foreign[before:]}:\n{cell.source}")
        if got == kept:
            continue
        if followed.explains(cell.source, got):
            named.append(index)
        elif "nbval-ignore-output" not in tags or (
            any(kind == "error" for kind, _ in got) and "raises-exception" not in tags
        ):
            wrong.append(
                f"cell {index}:\n{cell.source}\n--- committed\n{shown(kept)}\n--- in the"
                f" tab\n{shown(got)}"
            )
    print(f"{name}: cells that need NumPy or Pillow: {', '.join(map(str, named)) or 'none'}")
    assert not wrong, "\n\n".join(wrong)
    assert_only_pyodides_own(site, tab)


def shown(outputs: list) -> str:
    return "\n".join(f"{kind}: {text[:1500]}" for kind, text in outputs) or "(nothing)"


def assert_only_pyodides_own(site, tab) -> None:
    """What the tab asked for elsewhere are packages of the lock, at the addresses that stand
    there."""
    lock = json.loads((site / "static/pyodide/pyodide-lock.json").read_text(encoding="utf-8"))
    known = {
        entry["file_name"] for entry in lock["packages"].values() if "://" in entry["file_name"]
    }
    assert set(tab.foreign) <= known


def test_a_cell_that_imports_numpy_gets_it_from_its_address_and_no_other_cell_asks(
    site, tab, tmp_path
):
    """Delivered is a stand-in of ours under NumPy's address, with its hash in the lock: the real
    one cannot be had everywhere."""
    lock = json.loads((site / "static/pyodide/pyodide-lock.json").read_text(encoding="utf-8"))
    address = lock["packages"]["numpy"]["file_name"]
    wheel = tmp_path / address.rpartition("/")[2]
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(
            "numpy/__init__.py", "def array(values, dtype=None):\n    return tuple(values)\n"
        )
        archive.writestr(
            "numpy-2.4.6.dist-info/METADATA", "Metadata-Version: 2.1\nName: numpy\nVersion: 2.4.6\n"
        )
        archive.writestr(
            "numpy-2.4.6.dist-info/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
    lock["packages"]["numpy"]["sha256"] = hashlib.sha256(wheel.read_bytes()).hexdigest()
    context = tab.page.context
    context.route("**/pyodide-lock.json", lambda route: route.fulfill(json=lock))
    context.route(
        address,
        lambda route: route.fulfill(
            body=wheel.read_bytes(), headers={"access-control-allow-origin": "*"}
        ),
    )
    asked = []
    context.on(
        "request", lambda request: asked.append(request.url) if request.url == address else None
    )
    name = "notebooks/05_embeddings.ipynb"
    tab.open(name)
    for index, cell in enumerate(nbformat.read(site / "files" / name, as_version=4).cells):
        if cell.cell_type == "code":
            assert not asked, "somebody asked before NumPy was needed"
            assert [kind for kind, _ in results(tab.run(index)["outputs"]) if kind == "error"] == []
            if (
                "feature_extraction" in cell.source
            ):  # huggingface_hub needs it here, before any cell has imported it
                break
    assert set(asked) == {address}
    assert "(1, 2)" in tab.execute("import numpy as np; print(np.array([1, 2]))")


def test_progress_outlives_a_reload(tab):
    """It is kept by the browser, beside the notebook."""
    tab.open("solutions/01_first_call.ipynb")
    first = "from helpers.exercises import open_exercise\ncard = open_exercise('01_first_call')\n"
    assert "progress" not in tab.execute("import os; print(os.listdir('.'))")
    opened = tab.execute(first + "card.hint(1)")
    assert "Hint 1" in opened or "hint" in opened
    tab.open("solutions/01_first_call.ipynb")
    assert "'hints': 1" in tab.execute(first + "print(card._progress.of(1))")


def test_widgets_move_and_the_console_stays_clean(site, tab):
    """The explorer of lesson 01: its slider moves by the keyboard, and the text below follows."""
    name = "notebooks/01_first_call.ipynb"
    cells = nbformat.read(site / "files" / name, as_version=4).cells
    explorer = next(
        index
        for index, cell in enumerate(cells)
        if cell.cell_type == "code" and "explore(" in cell.source
    )
    tab.open(name)
    for index in range(explorer + 1):
        if cells[index].cell_type == "code":
            tab.run(index)
    text = tab.page.locator(".widget-html-content pre").last
    text.wait_for()
    before = text.inner_text()
    handle = tab.page.locator(".widget-slider .noUi-handle").first
    handle.scroll_into_view_if_needed()
    handle.focus()
    tab.page.keyboard.press("ArrowRight")
    tab.page.wait_for_function(
        "before => [...document.querySelectorAll('.widget-html-content pre')].pop().innerText !=="
        " before",
        arg=before,
        timeout=60_000,
    )
    assert tab.foreign == []
    # A 404 is JupyterLite asking whether a file is there that need not be.
    assert [said for said in tab.said if said.startswith("error") and "404" not in said] == []


def test_live_says_why_not_and_keeps_no_token(tab):
    tab.open("notebooks/01_first_call.ipynb")
    start = "from helpers import start, models\nsession = start('01_first_call')\n"
    assert "Live needs your own token" in tab.execute(start + "session.mode = 'live'")
    assert "a page in a browser may not ask it" in tab.execute("session.mode = 'practice'")
    assert "replay" in tab.execute("print(session.mode)")
    token = "hf_" + "x1Y2" * 8
    said = tab.execute(
        f"import os; os.environ['HF_TOKEN'] = '{token[:10]}' + '{token[10:]}'\nsession.mode ="
        " 'live'\nfrom huggingface_hub import"
        " InferenceClient\nInferenceClient().chat_completion([{'role': 'user', 'content':"
        " 'Hi'}], model=models.chat)"
    )
    assert "CORS" in said and "The browser could not fetch from" in said
    assert tab.foreign_hosts and tab.foreign_hosts <= {"router.huggingface.co", "huggingface.co"}
    assert token not in tab.stored()
