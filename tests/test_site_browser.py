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
from playwright.sync_api import expect
from site_fixtures import new_tab

from authoring.site.__main__ import FOLDERS

pytest_plugins = ["site_fixtures"]

ROOT = Path(__file__).resolve().parent.parent
EVERY = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in FOLDERS
    for path in (ROOT / folder).glob("*.ipynb")
)
SOME = [name for name in EVERY if name.startswith(("notebooks/01", "exercises/01", "notebooks/03"))]
FIRST = "notebooks/01_first_call.ipynb"
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


def run_all(tab, site, name: str) -> list[tuple]:
    """Open a notebook and run it to the bottom: (place, cell, outputs, addresses asked for, the
    console's words) of each cell that is run."""
    tab.open(name)
    ran, heard = [], 0
    for index, cell in enumerate(nbformat.read(site / "files" / name, as_version=4).cells):
        if cell.cell_type == "code" and "nbval-skip" not in cell.metadata.get("tags", []):
            before = len(tab.foreign)
            got = results(tab.run(index)["outputs"])
            ran.append((index, cell, got, tab.foreign[before:], tab.said[heard:]))
            heard = len(tab.said)
    return ran


@pytest.fixture(scope="module")
def first(chromium, address, site):
    """The tab in which the first lesson ran to the bottom, for all who need no tab of their own."""
    with new_tab(chromium, address) as tab:
        tab.ran = run_all(tab, site, FIRST)
        yield tab


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_to_the_bottom(name, site, request):
    tab = request.getfixturevalue("first" if name == FIRST else "tab")
    followed, wrong, named = Followed(), [], []
    for index, cell, got, asked, _ in tab.ran if name == FIRST else run_all(tab, site, name):
        tags, kept = cell.metadata.get("tags", []), results(cell.outputs)
        if asked and not ASKS.search(cell.source):
            wrong.append(f"cell {index} asked for {asked}:\n{cell.source}")
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
    """What the tab asked for elsewhere are packages of the lock, at the addresses it names."""
    lock = json.loads((site / "static/pyodide/pyodide-lock.json").read_text(encoding="utf-8"))
    known = {entry["file_name"] for entry in lock["packages"].values()}
    assert set(tab.foreign) <= {name for name in known if "://" in name}


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
        about = "Metadata-Version: 2.1\nName: numpy\nVersion: 2.4.6\n"
        archive.writestr("numpy-2.4.6.dist-info/METADATA", about)
        about = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr("numpy-2.4.6.dist-info/WHEEL", about)
    lock["packages"]["numpy"]["sha256"] = hashlib.sha256(wheel.read_bytes()).hexdigest()
    context = tab.page.context
    context.route("**/pyodide-lock.json", lambda route: route.fulfill(json=lock))
    how = {"body": wheel.read_bytes(), "headers": {"access-control-allow-origin": "*"}}
    context.route(address, lambda route: route.fulfill(**how))
    asked = []
    context.on("request", lambda one: one.url == address and asked.append(one.url))
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


def test_widgets_move_and_the_console_stays_clean(first):
    """The explorer of lesson 01: its slider moves by the keyboard, and the text below follows."""
    explorer = next(i for i, (_, cell, *_) in enumerate(first.ran) if "explore(" in cell.source)
    until = first.ran[: explorer + 1]
    asked = [address for *_, asked, _ in until for address in asked]
    heard = [said for *_, heard in until for said in heard]
    then = len(first.foreign), len(first.said)
    first.run(first.ran[explorer][0])
    cell = first.page.locator(".jp-Cell.jp-mod-active")
    text = cell.locator(".widget-html-content pre").last
    text.wait_for()
    before = text.inner_text()
    handle = cell.locator(".widget-slider .noUi-handle").first
    handle.scroll_into_view_if_needed()
    handle.focus()
    first.page.keyboard.press("ArrowRight")
    expect(text).not_to_have_text(before)
    assert asked + first.foreign[then[0] :] == []
    # A 404 is JupyterLite asking whether a file is there that need not be.
    heard += first.said[then[1] :]
    assert [said for said in heard if said.startswith("error") and "404" not in said] == []


def test_progress_outlives_a_reload(first):
    """It is kept by the browser, beside the notebook."""
    card = "from helpers.exercises import open_exercise\ncard = open_exercise('01_first_call')\n"
    assert "progress" not in first.execute("import os; print(os.listdir('.'))")
    opened = first.execute(card + "card.hint(1)")
    assert "Hint 1" in opened or "hint" in opened
    first.open(FIRST)
    assert "'hints': 1" in first.execute(card + "print(card._progress.of(1))")


def test_live_says_why_not_and_keeps_no_token(first):
    start = "from helpers import start, models\nsession = start('01_first_call')\n"
    assert "Live needs your own token" in first.execute(start + "session.mode = 'live'")
    assert "a page in a browser may not ask it" in first.execute("session.mode = 'practice'")
    assert "replay" in first.execute("print(session.mode)")
    token = "hf_" + "x1Y2" * 8
    first.foreign.clear()
    said = first.execute(
        f"import os; os.environ['HF_TOKEN'] = '{token[:10]}' + '{token[10:]}'\nsession.mode ="
        " 'live'\nfrom huggingface_hub import"
        " InferenceClient\nInferenceClient().chat_completion([{'role': 'user', 'content':"
        " 'Hi'}], model=models.chat)"
    )
    assert "CORS" in said and "The browser could not fetch from" in said
    assert first.foreign_hosts and first.foreign_hosts <= {
        "router.huggingface.co",
        "huggingface.co",
    }
    assert token not in first.stored()
