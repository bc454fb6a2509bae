"""Every guard passes over the course as it stands, and refuses an example of what it is there to
refuse."""

import json
import shutil

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
HAND_WRITTEN = notebooks("notebooks", "solutions")
PLANTED = (
    "hf_" + "Zq7" * 12
)  # put together here, so that this file holds nothing that looks like a token


def named(path):
    return f"{path.parent.name}/{path.stem}"


# ---- the course as it stands -------------------------------------------------------------------


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_folder_holds_notebooks_and_only_known_ones(folder):
    found = [path.stem for path in notebooks(folder)]
    assert found, (
        f"{folder}/ holds no notebook: every test over notebooks would pass without looking at one"
    )
    assert set(found) <= set(LESSONS), (
        f"unknown names in {folder}/; add them to LESSONS in tests/guards/__init__.py"
    )
    assert found == sorted(found, key=LESSONS.index)


def test_every_lesson_has_its_exercise_and_solution():
    lessons = {path.stem for path in notebooks("notebooks")}
    assert (
        {path.stem for path in notebooks("exercises")}
        == {path.stem for path in notebooks("solutions")}
        == lessons
    )


@pytest.mark.parametrize(
    "guard",
    execution.GUARDS + code.GUARDS + (reading.headings, reading.alt_texts),
    ids=lambda guard: guard.__name__,
)
@pytest.mark.parametrize("path", ALL, ids=named)
def test_notebook(path, guard):
    assert guard(read(path)) == []


@pytest.mark.parametrize("path", ALL, ids=named)
def test_notebook_links(path):
    assert reading.links(read(path), path) == []


@pytest.mark.parametrize("path", ALL, ids=named)
def test_notebook_imports(path):
    assert code.imports(read(path), code.importable()) == []


@pytest.mark.parametrize("path", ALL, ids=named)
def test_notebook_prose(path):
    assert prose.prose(read(path), KNOWN) + prose.models_in_code(read(path), KNOWN) == []


@pytest.mark.parametrize("path", notebooks("notebooks"), ids=named)
def test_lesson_has_all_its_parts(path):
    assert reading.lesson_parts(read(path), path) == []


@pytest.mark.parametrize("path", notebooks("notebooks"), ids=named)
def test_stated_calls_are_the_recorded_calls(path):
    recorded = len(Recording(FOLDER / f"{path.stem}.json").calls())
    notebook = read(path)
    assert (
        reading.calls_agree(
            reading.stated_calls(notebook), recorded, reading.shown_at_start(notebook)
        )
        == []
    )


@pytest.mark.parametrize(
    "path", [path for path in tracked() if path.suffix == ".md"], ids=lambda path: path.name
)
def test_pages(path):
    text = path.read_text(encoding="utf-8")
    assert prose.lint(text, KNOWN) + reading.links_in(text, path) == []


def test_no_tracked_file_holds_a_secret_or_names_a_machine():
    looked_at, problems = 0, []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            text = path.read_bytes().decode(
                "latin-1"
            )  # a picture: a token in its metadata still shows
        looked_at += 1
        problems += [
            f"{path.relative_to(ROOT)}: {problem}"
            for problem in secrets.secrets(text) + secrets.machine(text)
        ]
    assert looked_at > 20 and problems == []


def test_every_recording_belongs_to_a_notebook():
    assert {path.stem for path in FOLDER.glob("*.json")} <= {path.stem for path in ALL}


def test_deriving_the_exercises_changes_nothing():
    assert derive.differences() == [], "run `make exercises`"


# ---- each guard refuses a bad example ----------------------------------------------------------


def notebook(*cells, **metadata):
    """A notebook of these cells; texts are code cells that ran, in order, and printed nothing."""
    made = nb4.new_notebook(
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
        }
        | metadata
    )
    count = 0
    for cell in cells:
        if isinstance(cell, str):
            cell = nb4.new_code_cell(cell)
        if cell.cell_type == "code":
            count += 1
            cell.execution_count = count
        made.cells.append(cell)
    return made


def ran(source, *outputs, tags=()):
    return nb4.new_code_cell(
        source, outputs=list(outputs), metadata={"tags": list(tags)} if tags else {}
    )


def said(text):
    return nb4.new_output("stream", name="stdout", text=text)


def raised(text="no"):
    return nb4.new_output(
        "error", ename="ValueError", evalue=text, traceback=[f"ValueError: {text}"]
    )


def shown(metadata=None, **data):
    return nb4.new_output(
        "display_data",
        data={kind.replace("_", "/"): value for kind, value in data.items()},
        metadata=metadata or {},
    )


def prose_cell(text):
    return nb4.new_markdown_cell(text)


def refused(guard, made, *words):
    problems = guard(made)
    assert problems, f"{guard.__name__} lets it through"
    assert all(word in "\n".join(problems) for word in words), problems
    return True


GOOD = ran("print('a')", said("a\n"))


def test_executed():
    assert execution.executed(notebook(GOOD, "x = 1")) == []
    stripped = notebook(GOOD, "x = 1")
    stripped.cells[1].execution_count = None
    assert refused(execution.executed, stripped, "None")
    again = notebook(GOOD, "x = 1")
    again.cells[1].execution_count = 7
    assert refused(execution.executed, again, "[1, 7]")
    assert refused(execution.executed, notebook(GOOD, "  "), "empty code cell")


@pytest.mark.parametrize("bare", ["print(1)", "x = 2\nx", "[1, 2]", "table.rows"])
def test_outputs_kept(bare):
    assert execution.outputs_kept(notebook(GOOD, "x = 1", "f()", "x;")) == []
    assert refused(execution.outputs_kept, notebook(GOOD, bare), "cell 2", "no output here")
    assert refused(execution.outputs_kept, notebook("f()", "g()"), "stripped")


@pytest.mark.parametrize(
    "line",
    [
        "%timeit 1",
        "%nosuchmagic\nx = 1",
        "%%bash\nls",
        "!false",
        "files = !ls",
        "%pip install x",
        "%%nosuch\nx",
        "x?",
    ],
)
def test_no_hidden_failures(line):
    colab = "import sys\nif 'google.colab' in sys.modules:\n    %pip install -q x"
    assert execution.no_hidden_failures(notebook("%matplotlib inline", colab, "await f()")) == []
    assert refused(execution.no_hidden_failures, notebook("x = 1", line), "cell 2")


def test_no_hidden_failures_sees_what_is_not_python():
    assert refused(execution.no_hidden_failures, notebook("x = ="), "not Python")
    assert (
        execution.no_hidden_failures(notebook(ran("x = =", raised(), tags=["raises-exception"])))
        == []
    )


def test_errors_meant():
    assert (
        execution.errors_meant(notebook(GOOD, ran("f()", raised(), tags=["raises-exception"])))
        == []
    )
    assert refused(execution.errors_meant, notebook(ran("f()", raised())), "without the tag")
    assert refused(
        execution.errors_meant,
        notebook(ran("f()", said("fine"), tags=["raises-exception"])),
        "no error is shown",
    )


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
    assert (
        execution.comparisons_kept(
            notebook(
                ran("# NBVAL_IGNORE_OUTPUT\n# not compared: the clock differs every time\nf()")
            )
        )
        == []
    )
    assert refused(execution.comparisons_kept, notebook(marked), "not compared: <reason>")


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
    assert (
        execution.outputs_comparable(
            notebook(
                ran(
                    "f()",
                    said("POST https://router.huggingface.co/v1/chat 0.42 s, 12 tokens"),
                    shown(image_png="Zm9v"),
                )
            )
        )
        == []
    )
    assert refused(execution.outputs_comparable, notebook(ran("f()", said(text))), "cell 1")
    assert refused(
        execution.outputs_comparable,
        notebook(ran("f()", shown(text_html=f"<pre>{text}</pre>"))),
        "cell 1",
    )


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
    assert (
        execution.no_uncomparable_widgets(
            notebook("with open('x') as out:\n    print(out.read())", "explore(f, x=[1, 2])")
        )
        == []
    )
    assert refused(execution.no_uncomparable_widgets, notebook(source), "cell 1")


def test_metadata_lean():
    assert execution.metadata_lean(notebook(GOOD)) == []
    assert refused(
        execution.metadata_lean,
        notebook(GOOD, widgets={"application/vnd.jupyter.widget-state+json": {}}),
        "widget state",
    )
    timed = notebook(ran("x = 1"))
    timed.cells[0].metadata["execution"] = {"iopub.status.busy": "now"}
    assert refused(execution.metadata_lean, timed, "times of execution")
    assert refused(
        execution.metadata_lean,
        notebook(GOOD, kernelspec={"name": "my-env", "display_name": "x"}),
        "my-env",
    )


@pytest.mark.parametrize(
    ("cells", "word"),
    [
        (["## No title"], "title"),
        (["# One", "# Two"], "second title"),
        (["# One\n\n### Three"], "level 3 under one of level 1"),
        (["Words first"], "title"),
        (["# One", "## Two\n\n#### Four"], "level 4"),
    ],
)
def test_headings(cells, word):
    assert (
        reading.headings(
            notebook(
                prose_cell("# One\n\n```\n# a comment\n```"),
                prose_cell("## Two\n\n### Three\n\n## Four"),
            )
        )
        == []
    )
    assert refused(reading.headings, notebook(*map(prose_cell, cells)), word)
    assert refused(reading.headings, notebook(GOOD, prose_cell("# Late")), "title")


FINDING = "Waits double until 32 s, then stay there"


@pytest.mark.parametrize(
    "bad",
    [
        ran("f()", shown(image_png="Zm9v")),
        ran("f()", shown(image_png="Zm9v", metadata={"image/png": {"alt": "  "}})),
        ran(
            "f()",
            shown(
                image_png="Zm9v", metadata={"image/png": {"alt": "A figure of the waiting times"}}
            ),
        ),
        ran("f()", shown(text_html="<img src='x.png'>")),
        ran("f()", shown(text_html="<img alt='' src='x.png'>")),
        ran("f()", shown(text_markdown="![](x.png)")),
        prose_cell("![](x.png)"),
        prose_cell("<img src='x.png'>"),
        ran("f()", shown(**{"image_svg+xml": "<svg/>"})),
    ],
)
def test_alt_texts(bad):
    good = notebook(
        prose_cell(f"![{FINDING}](x.png)"),
        ran("f()", shown(image_png="Zm9v", metadata={"image/png": {"alt": FINDING}})),
        ran("f()", shown(text_html=f"<img alt='{FINDING}' src='data:x'>")),
        ran("f()", shown(text_html=f"<svg aria-label='{FINDING}'></svg>")),
    )
    assert reading.alt_texts(good) == []
    assert refused(reading.alt_texts, notebook(bad), "alt text")


@pytest.mark.parametrize(
    ("link", "word"),
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
    here = ROOT / "README.md"
    good = (
        "# Who answers\n\n[a](pyproject.toml) [b](https://huggingface.co/docs#x) [c](#Who-answers)"
        " <https://huggingface.co> `[d](nowhere)`"
    )
    assert reading.links(notebook(prose_cell(good)), here) == []
    assert refused(
        lambda made: reading.links(made, here),
        notebook(prose_cell("# A"), prose_cell(link)),
        "cell 2",
        word,
    )


LESSON = [
    prose_cell(
        "# The first call\n\nYou will be able to send one.\n\n20 minutes · 3 calls · the banner"
        " says what they cost"
    ),
    ran(
        'from helpers import start\nsession = start("x")',
        said("Replay. 3 calls in this lesson; live: about…"),
    ),
    prose_cell(
        "## Why\n\n**Predict.** What?\n\n> **Older code you will meet.** This.\n\n> **In"
        " production.** That."
    ),
    prose_cell("## Recap\n\n- this\n\nNext: [its exercise](../exercises/x.ipynb)"),
]


@pytest.mark.parametrize(
    ("cell", "gone", "word"),
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
    path = ROOT / "notebooks" / "x.ipynb"
    assert reading.lesson_parts(notebook(*LESSON), path) == []
    changed = notebook(
        *(
            nb4.new_markdown_cell(c.source) if c.cell_type == "markdown" else ran(c.source)
            for c in LESSON
        )
    )
    changed.cells[cell].source = changed.cells[cell].source.replace(gone, "other()")
    assert refused(lambda made: reading.lesson_parts(made, path), changed, word)


def test_calls_agree():
    lesson = notebook(*LESSON)
    assert reading.stated_calls(lesson) == 3
    assert reading.calls_agree(3, 3, reading.shown_at_start(lesson)) == []
    assert "states 3" in reading.calls_agree(3, 4)[0]
    assert "states None" in reading.calls_agree(None, 4)[0]
    assert "banner shows 3" in reading.calls_agree(4, 4, reading.shown_at_start(lesson))[0]


@pytest.mark.parametrize(
    ("text", "word"),
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
    assert refused(
        lambda made: prose.prose(made, KNOWN), notebook(prose_cell(text)), "cell 1", word
    )


def test_models_in_code():
    known = next(iter(KNOWN))
    assert (
        prose.models_in_code(
            notebook(
                f"f(model={known!r})",
                f"f(model='{known}:cheapest')",
                "f('application/json', 'nobody/there')",
            ),
            KNOWN,
        )
        == []
    )
    assert refused(
        lambda made: prose.models_in_code(made, KNOWN),
        notebook("f(model='meta-llama/Llama-9-8B')"),
        "models.toml does not know",
    )


@pytest.mark.parametrize(
    "source",
    [
        "import authoring.derive",
        "from authoring import record",
        "import torch",
        "from . import x",
        "def f():\n    import pandas",
    ],
)
def test_imports(source):
    good = notebook(
        "import os, json\nfrom helpers import start\nimport numpy as np\nfrom PIL import"
        " Image\nfrom openai import OpenAI",
        ran("import faiss", tags=["nbval-skip"]),
    )
    assert code.imports(good, code.importable()) == []
    assert refused(lambda made: code.imports(made, code.importable()), notebook(source), "cell 1")


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
    assert (
        code.canonical(
            notebook(
                "OpenAI(base_url='https://router.huggingface.co/v1', api_key=get_token())",
                "InferenceClient(base_url=endpoint.url)",
            )
        )
        == []
    )
    assert refused(code.canonical, notebook(source), "cell 1")


def test_an_exercise_edited_by_hand_is_found(tmp_path):
    for folder in ("exercises", "solutions"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns(".*"))
    assert derive.differences(tmp_path) == []
    edited = sorted((tmp_path / "exercises").glob("*.ipynb"))[0]
    exercise = read(edited)
    exercise.cells[0].source += "\nOne more line."
    nbformat.write(exercise, edited)
    assert refused(derive.differences, tmp_path, edited.name, "cell 1")
    edited.unlink()
    assert refused(derive.differences, tmp_path, edited.name, "missing")
    shutil.copy(ROOT / "exercises" / edited.name, tmp_path / "exercises" / "99_alone.ipynb")
    assert refused(derive.differences, tmp_path, "99_alone", "there is no solutions/99_alone")


PLANTS = {
    "a body": lambda token: json.dumps(
        {
            "request": {
                "method": "POST",
                "url": "https://router.huggingface.co/v1",
                "json": {"messages": [{"content": f"my key is {token}"}]},
            }
        }
    ),
    "a header": lambda token: json.dumps({"headers": {"authorization": f"Bearer {token}"}}),
    "a URL": lambda token: json.dumps(
        {"url": f"https://huggingface.co/api/whoami-v2?token={token}&x=1"}
    ),
    "a notebook output": lambda token: json.dumps(
        notebook(ran("print(t)", said(f"token: {token}\n")))
    ),
}


@pytest.mark.parametrize("place", PLANTS)
def test_a_planted_token_is_found(place):
    clean, planted = PLANTS[place]("$HF_TOKEN"), PLANTS[place](PLANTED)
    assert secrets.secrets(clean) == []
    assert (
        "a Hugging Face token" in secrets.secrets(planted)[0]
        and PLANTED not in secrets.secrets(planted)[0]
    )


@pytest.mark.parametrize("place", ["a body", "a header", "a URL"])
def test_a_planted_token_is_never_written(place, tmp_path):
    with pytest.raises(SecretFound):
        write(tmp_path / "x.json", [json.loads(PLANTS[place](PLANTED))])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        "s" + "k-proj-" + "a1B2" * 8,
        "Authorization: Bea" + "rer eyJhbGciOi.J9" + "x" * 20,
        "gh" + "p_" + "a1" * 18,
        "-----BEGIN RSA PRI" + "VATE KEY-----",
        "hf_" + "oauth_" + "a1b2" * 8,
    ],
)
def test_other_secrets(text):
    assert (
        secrets.secrets(
            '-H "Authorization: Bearer $HF_TOKEN" Bearer hf_… hf_xxx f"Bearer {token}"'
            " task-oriented-and-more-words-here"
        )
        == []
    )
    assert secrets.secrets(text)


@pytest.mark.parametrize(
    "text",
    [
        "see /wo" + "rk/main/x",
        "'/ro" + "ot/.cache'",
        "/ho" + "me/ann/x",
        "C:\\Us" + "ers\\ann",
        "https://py" + "pi.org/simple",
        "https://registry.np" + "mjs.org/x",
    ],
)
def test_machine(text):
    assert (
        secrets.machine(
            "https://huggingface.co/home/x ~/"
            "work/x $HOME/root/x /home/jovyan/x docs/work/ .venv/bin/python"
        )
        == []
    )
    assert secrets.machine(text)
