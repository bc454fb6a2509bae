"""Every guard passes over the course as it stands, and refuses a bad example."""

import json
import shutil
from copy import deepcopy
from functools import partial

import nbformat
import nbformat.v4 as nb4
import pytest
from guards import (
    FOLDERS,
    LESSONS,
    ROOT,
    code,
    execution,
    notebooks,
    prose,
    read,
    reading,
    secrets,
    tracked,
)

from authoring import derive
from helpers.models import models
from helpers.replay.recording import Recording
from helpers.replay.storage import FOLDER, write
from helpers.tokens import SecretFound

KNOWN = {model.id for model in models}
ALL = notebooks()
PAGES = [path for path in tracked() if path.suffix == ".md"]
PLANTED = "hf_" + "Zq7" * 12  # put together here: nothing in this file looks like a token


def named(path):
    return f"{path.parent.name}/{path.stem}"


def imports(made):
    return code.imports(made, code.importable())


def proses(made):
    return prose.prose(made, KNOWN)


def models_named(made):
    return prose.models_in_code(made, KNOWN)


OWN = (reading.headings, reading.alt_texts, imports, proses, models_named)
GUARDS = execution.GUARDS + code.GUARDS + OWN


# ---- the course as it stands -------------------------------------------------------------------


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_folder_holds_notebooks_and_only_known_ones(folder):
    found = [path.stem for path in notebooks(folder)]
    assert found, f"{folder}/ holds no notebook: tests over all of them would look at none"
    assert set(found) <= set(LESSONS), "add what is new to LESSONS in tests/guards/__init__.py"
    assert found == sorted(found, key=LESSONS.index)


def test_every_lesson_has_its_exercise_and_solution():
    lessons, exercises, solutions = ({path.stem for path in notebooks(one)} for one in FOLDERS)
    assert exercises == solutions == lessons


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.__name__)
@pytest.mark.parametrize("path", ALL, ids=named)
def test_notebook(path, guard):
    assert guard(read(path)) == []


@pytest.mark.parametrize("path", ALL, ids=named)
def test_notebook_links(path):
    assert reading.links(read(path), path) == []


@pytest.mark.parametrize("path", notebooks("notebooks"), ids=named)
def test_lesson_has_all_its_parts(path):
    assert reading.lesson_parts(read(path), path) == []


@pytest.mark.parametrize("path", notebooks("notebooks"), ids=named)
def test_stated_calls_are_the_recorded_calls(path):
    recorded, lesson = len(Recording(FOLDER / f"{path.stem}.json").calls()), read(path)
    stated, shown = reading.stated_calls(lesson), reading.shown_at_start(lesson)
    assert reading.calls_agree(stated, recorded, shown) == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_pages(path):
    text = path.read_text(encoding="utf-8")
    assert prose.lint(text, KNOWN) + reading.links_in(text, path) == []


def test_no_tracked_file_holds_a_secret_or_names_a_machine():
    looked_at, problems = 0, []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            text = path.read_text("latin-1")  # a picture: a token in its metadata still shows
        looked_at += 1
        problems += [(path, what) for what in secrets.secrets(text) + secrets.machine(text)]
    assert looked_at > 20 and problems == []


def test_every_recording_belongs_to_a_notebook():
    assert {path.stem for path in FOLDER.glob("*.json")} <= {path.stem for path in ALL}


def test_deriving_the_exercises_changes_nothing():
    assert derive.differences() == [], "run `make exercises`"


# ---- each guard refuses a bad example ----------------------------------------------------------

PYTHON = {"name": "python3", "display_name": "Python 3", "language": "python"}
MEANT = ["raises-exception"]
HERE = ROOT / "README.md"


def notebook(*cells, **metadata):
    """A notebook of these cells; texts are code cells that ran, in order, and printed nothing."""
    made = nb4.new_notebook(metadata={"kernelspec": PYTHON} | metadata)
    made.cells = [ran(cell) if isinstance(cell, str) else cell for cell in cells]
    for count, cell in enumerate((c for c in made.cells if c.cell_type == "code"), 1):
        cell.execution_count = count
    return made


def ran(source, *outputs, tags=()):
    metadata = {"tags": list(tags)} if tags else {}
    return nb4.new_code_cell(source, outputs=list(outputs), metadata=metadata)


def said(text):
    return nb4.new_output("stream", name="stdout", text=text)


def failed(source, tags=()):
    error = nb4.new_output("error", ename="ValueError", evalue="no", traceback=["ValueError: no"])
    return ran(source, error, tags=tags)


def shown(alt=None, **data):
    """A cell that shows something; `alt` is what the metadata of a picture say."""
    data = {kind.replace("_", "/", 1): value for kind, value in data.items()}
    metadata = {} if alt is None else {"image/png": {"alt": alt}}
    return ran("f()", nb4.new_output("display_data", data=data, metadata=metadata))


text_cell = nb4.new_markdown_cell
GOOD = ran("print('a')", said("a\n"))


def refused(guard, made, *words):
    problems = guard(made)
    assert problems, f"{guard} lets it through"
    assert all(word in "\n".join(problems) for word in words), problems


def judged(guard, good, bad, *words):
    """The guard lets the good cells through, and says all these words of the bad ones."""
    assert guard(notebook(*good)) == []
    refused(guard, notebook(*bad), *words)


@pytest.mark.parametrize("count, word", [(None, "None"), (7, "[1, 7]")])
def test_executed(count, word):
    judged(execution.executed, [GOOD, "x = 1"], [GOOD, "  "], "empty code cell")
    made = notebook(GOOD, "x = 1")
    made.cells[1].execution_count = count
    refused(execution.executed, made, word)


@pytest.mark.parametrize("bare", ["print(1)", "x = 2\nx", "[1, 2]", "table.rows"])
def test_outputs_kept(bare):
    good = [GOOD, "x = 1", "f()", "x;"]
    judged(execution.outputs_kept, good, [GOOD, bare], "cell 2", "no output here")
    refused(execution.outputs_kept, notebook("f()", "g()"), "stripped")


HIDING = "%timeit 1|%nosuchmagic\nx = 1|%%bash\nls|!false|files = !ls|%pip install x|%%nosuch\nx|x?"


@pytest.mark.parametrize("line", HIDING.split("|"))
def test_no_hidden_failures(line):
    colab = "import sys\nif 'google.colab' in sys.modules:\n    %pip install -q x"
    good = ["%matplotlib inline", colab, "await f()"]
    judged(execution.no_hidden_failures, good, ["x = 1", line], "cell 2")


def test_no_hidden_failures_sees_what_is_not_python():
    judged(execution.no_hidden_failures, [failed("x = =", MEANT)], ["x ="], "not Python")


@pytest.mark.parametrize(
    "bad, word",
    [
        (failed("f()"), "without the tag"),
        (ran("f()", said("fine"), tags=MEANT), "no error is shown"),
    ],
)
def test_errors_meant(bad, word):
    judged(execution.errors_meant, [GOOD, failed("f()", MEANT)], [bad], word)


@pytest.mark.parametrize(
    "marked",
    [
        ran("# NBVAL_IGNORE_OUTPUT\nf()"),
        ran("# NBVAL_SKIP\nf()"),
        ran("f()", tags=["nbval-skip"]),
        ran("# not compared: no\nf()", tags=["nbval-ignore-output"]),
    ],
)
def test_comparisons_kept(marked):
    good = "# NBVAL_IGNORE_OUTPUT\n# not compared: the clock differs every time\nf()"
    judged(execution.comparisons_kept, [good], [marked], "not compared: <reason>")


@pytest.mark.parametrize(
    "text",
    [
        "/tmp/ipykernel_" + "812/3.py:1: UserWarning: old",
        "see /ho" + "me/ann/course/x.py",
        "C:\\Us" + "ers\\ann\\x.py",
        "DeprecationWarning: old\n",
        "CPU times: user 3 ms",
        "12.3it/s",
        "<Thing object at 0x7f1234567890>",
        "File /opt/python/lib/site-packages/x.py",
    ],
)
def test_outputs_comparable(text):
    fine = said("POST https://router.huggingface.co/v1/chat 0.42 s, 12 tokens")
    good = [ran("f()", fine), shown(image_png="Zm9v")]
    for bad in (ran("f()", said(text)), shown(text_html=f"<pre>{text}</pre>")):
        judged(execution.outputs_comparable, good, [bad], "cell 1")


@pytest.mark.parametrize(
    "source",
    [
        "from IPython.display import clear_output\nclear_output(wait=True)",
        "widgets.interact(f, x=3)",
        "handle.update_display(3)",
        "out = widgets.Output()\nwith out:\n    print(1)",
        "with Output() as o:\n    print(1)",
        "out = Output()\n@out.capture()\ndef f():\n    print(1)",
        "widgets.interactive_output(f, {})",
    ],
)
def test_no_uncomparable_widgets(source):
    good = ["with open('x') as out:\n    print(out.read())", "explore(f, x=[1, 2])"]
    judged(execution.no_uncomparable_widgets, good, [source], "cell 1")


STATE = {"application/vnd.jupyter.widget-state+json": {}}


@pytest.mark.parametrize(
    "metadata, word",
    [
        ({"widgets": STATE}, "widget state"),
        ({"kernelspec": {"name": "my-env", "display_name": "x"}}, "my-env"),
    ],
)
def test_metadata_lean(metadata, word):
    refused(execution.metadata_lean, notebook(GOOD, **metadata), word)
    timed = ran("x = 1")
    timed.metadata["execution"] = {"iopub.status.busy": "now"}
    judged(execution.metadata_lean, [GOOD], [timed], "times of execution")


@pytest.mark.parametrize(
    "cells, word",
    [
        (["## No title"], "title"),
        (["# One", "# Two"], "second title"),
        (["# One\n\n### Three"], "level 3 under one of level 1"),
        (["Words first"], "title"),
        (["# One", "## Two\n\n#### Four"], "level 4"),
    ],
)
def test_headings(cells, word):
    good = ["# One\n\n```\n# a comment\n```", "## Two\n\n### Three\n\n## Four"]
    judged(reading.headings, map(text_cell, good), map(text_cell, cells), word)
    refused(reading.headings, notebook(GOOD, text_cell("# Late")), "title")


FINDING = "Waits double until 32 s, then stay there"


@pytest.mark.parametrize(
    "bad",
    [
        shown(image_png="Zm9v"),
        shown(image_png="Zm9v", alt="  "),
        shown(image_png="Zm9v", alt="A figure of the waiting times"),
        shown(text_html="<img src='x.png'>"),
        shown(text_html="<img alt='' src='x.png'>"),
        shown(text_markdown="![](x.png)"),
        text_cell("![](x.png)"),
        text_cell("<img src='x.png'>"),
        shown(**{"image_svg+xml": "<svg/>"}),
    ],
)
def test_alt_texts(bad):
    picture = shown(text_html=f"<img alt='{FINDING}' src='data:x'>")
    drawing = shown(text_html=f"<svg aria-label='{FINDING}'></svg>")
    good = [text_cell(f"![{FINDING}](x.png)"), shown(FINDING, image_png="Zm9v"), picture, drawing]
    judged(reading.alt_texts, good, [bad], "alt text")


@pytest.mark.parametrize(
    "link, word",
    [
        ("[a](no_such_file.ipynb)", "leads nowhere"),
        ("[a](http://huggingface.co/x)", "use https"),
        ("[a](https://huggingface)", "not a whole address"),
        ("[a](/notebooks/x)", "neither"),
        ("[a](#no-such-section)", "no section"),
        ("![a](no.png)", "leads nowhere"),
        ("[a](https:///x)", "not a whole"),
    ],
)
def test_links(link, word):
    good = (
        "# Who answers\n\n[a](pyproject.toml) [b](https://huggingface.co/docs#x) [c](#Who-answers)"
        " <https://huggingface.co> `[d](nowhere)`"
    )
    links = partial(reading.links, path=HERE)
    judged(links, [text_cell(good)], [text_cell("# A"), text_cell(link)], "cell 2", word)


CALLS = "20 minutes · 3 calls · the banner says what they cost"
BOXES = "> **Older code you will meet.** This.\n\n> **In production.** That."
START = 'from helpers import start\nsession = start("x")'
LESSON = [
    text_cell(f"# The first call\n\nYou will be able to send one.\n\n{CALLS}"),
    ran(START, said("Replay. 3 calls in this lesson; live: about…")),
    text_cell(f"## Why\n\n**Predict.** What?\n\n{BOXES}"),
    text_cell("## Recap\n\n- this\n\nNext: [its exercise](../exercises/x.ipynb)"),
]


@pytest.mark.parametrize(
    "cell, gone, word",
    [
        (0, "You will be able to", "able to do"),
        (0, "20 minutes", "minutes"),
        (0, "3 calls", "number of calls"),
        (0, "cost", "what it costs"),
        (1, 'start("x")', 'start("x")'),
        (2, "**Predict.**", "guess"),
        (2, "Older code you will meet", "older code"),
        (2, "In production", "in production"),
        (3, "Recap", "recap"),
        (3, "../exercises/x.ipynb", "exercises/x.ipynb"),
    ],
)
def test_lesson_parts(cell, gone, word):
    changed = deepcopy(LESSON)
    changed[cell].source = changed[cell].source.replace(gone, "other()")
    parts = partial(reading.lesson_parts, path=ROOT / "notebooks" / "x.ipynb")
    judged(parts, LESSON, changed, word)


def test_calls_agree():
    lesson = notebook(*LESSON)
    shown_there = reading.shown_at_start(lesson)
    assert reading.stated_calls(lesson) == 3
    assert reading.calls_agree(3, 3, shown_there) == []
    assert "states 3" in reading.calls_agree(3, 4)[0]
    assert "states None" in reading.calls_agree(None, 4)[0]
    assert "banner shows 3" in reading.calls_agree(4, 4, shown_there)[0]


@pytest.mark.parametrize(
    "text, word",
    [
        ("This is simply a call.", "filler"),
        ("Just run it.", "filler"),
        ("A powerful model", "filler"),
        ("It costs $0.02.", "a price"),
        ("about 5 cents", "a price"),
        ("Ask openai/gpt-oss-120b.", "model id"),
        ("Llama-3.1-8B answers.", "model id"),
        ("`meta-llama/Llama-9-8B`", "does not know"),
        ("Done \U0001f389", "emoji"),
        ("![A powerful picture](x.png)", "filler"),
        ("> It is easy.", "filler"),
        ("| a |\n|---|\n| $3 |", "a price"),
        ("<b>Simply</b>", "filler"),
    ],
)
def test_prose(text, word):
    good = (
        f"Send it, read `usage`, adjust; what you just saw is not $0.00. `{next(iter(KNOWN))}` is"
        " one model; `$HF_TOKEN` a variable.\n\n```python\nprint('simply $3"
        " openai/gpt-oss-120b')\n```"
    )
    assert prose.lint(good, KNOWN) == []
    refused(proses, notebook(text_cell(text)), "cell 1", word)


def test_models_in_code():
    known = next(iter(KNOWN))
    good = [f"f(model={known!r})", f"f(model='{known}:cheapest')"]
    good.append("f('application/json', 'nobody/there')")
    bad = ["f(model='meta-llama/Llama-9-8B')"]
    judged(models_named, good, bad, "models.toml does not know")


OTHERS = "import authoring.derive|from authoring import record|import torch|from . import x"


@pytest.mark.parametrize("source", [*OTHERS.split("|"), "def f():\n    import pandas"])
def test_imports(source):
    usual = "import os, json\nfrom helpers import start\nimport numpy as np"
    usual += "\nfrom PIL import Image\nfrom openai import OpenAI"
    judged(imports, [usual, ran("import faiss", tags=["nbval-skip"])], [source], "cell 1")


@pytest.mark.parametrize(
    "source",
    [
        "OpenAI(http_client=c)",
        "httpx2.Client(transport=t)",
        "set_client_factory(f)",
        "OpenAI(base_url='http://127.0.0.1:8750/v1')",
    ],
)
def test_canonical(source):
    router = "OpenAI(base_url='https://router.huggingface.co/v1', api_key=get_token())"
    good = [router, "InferenceClient(base_url=endpoint.url)"]
    judged(code.canonical, good, [source], "cell 1")


def test_an_exercise_edited_by_hand_is_found(tmp_path):
    for folder in ("exercises", "solutions"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns(".*"))
    assert derive.differences(tmp_path) == []
    edited = sorted((tmp_path / "exercises").glob("*.ipynb"))[0]
    exercise = read(edited)
    exercise.cells[0].source += "\nOne more line."
    nbformat.write(exercise, edited)
    refused(derive.differences, tmp_path, edited.name, "cell 1")
    edited.unlink()
    refused(derive.differences, tmp_path, edited.name, "missing")
    shutil.copy(ROOT / "exercises" / edited.name, tmp_path / "exercises" / "99_alone.ipynb")
    refused(derive.differences, tmp_path, "99_alone", "there is no solutions/99_alone")


def asked(content, url="https://router.huggingface.co/v1"):
    return {"request": {"method": "POST", "url": url, "json": {"messages": [content]}}}


PLANTS = {
    "a body": lambda token: asked({"content": f"my key is {token}"}),
    "a header": lambda token: {"headers": {"authorization": f"Bearer {token}"}},
    "a URL": lambda token: {"url": f"https://huggingface.co/api/whoami-v2?token={token}&x=1"},
    "a notebook output": lambda token: notebook(ran("print(t)", said(f"token: {token}\n"))),
}


@pytest.mark.parametrize("place", PLANTS)
def test_a_planted_token_is_found(place):
    clean, planted = (json.dumps(PLANTS[place](token)) for token in ("$HF_TOKEN", PLANTED))
    assert secrets.secrets(clean) == []
    found = secrets.secrets(planted)[0]
    assert "a Hugging Face token" in found and PLANTED not in found


@pytest.mark.parametrize("place", ["a body", "a header", "a URL"])
def test_a_planted_token_is_never_written(place, tmp_path):
    with pytest.raises(SecretFound):
        write(tmp_path / "x.json", [PLANTS[place](PLANTED)])
    assert list(tmp_path.iterdir()) == []


NO_SECRET = (
    '-H "Authorization: Bearer $HF_TOKEN" Bearer hf_… hf_xxx f"Bearer {token}"'
    " task-oriented-and-more-words-here"
)
NO_MACHINE = (
    "https://huggingface.co/home/x ~/"  # apart, so that this file names no place itself
    + "work/x $HOME/root/x /home/jovyan/x docs/work/ .venv/bin/python"
)


@pytest.mark.parametrize(
    "guard, good, text",
    [
        (secrets.secrets, NO_SECRET, "s" + "k-proj-" + "a1B2" * 8),
        (secrets.secrets, NO_SECRET, "Authorization: Bea" + "rer eyJhbGciOi.J9" + "x" * 20),
        (secrets.secrets, NO_SECRET, "gh" + "p_" + "a1" * 18),
        (secrets.secrets, NO_SECRET, "-----BEGIN RSA PRI" + "VATE KEY-----"),
        (secrets.secrets, NO_SECRET, "hf_" + "oauth_" + "a1b2" * 8),
        (secrets.machine, NO_MACHINE, "see /wo" + "rk/main/x"),
        (secrets.machine, NO_MACHINE, "'/ro" + "ot/.cache'"),
        (secrets.machine, NO_MACHINE, "/ho" + "me/ann/x"),
        (secrets.machine, NO_MACHINE, "C:\\Us" + "ers\\ann"),
        (secrets.machine, NO_MACHINE, "https://py" + "pi.org/simple"),
        (secrets.machine, NO_MACHINE, "https://registry.np" + "mjs.org/x"),
    ],
)
def test_other_secrets_and_machines(guard, good, text):
    assert guard(good) == []
    assert guard(text)
