"""exercises/ is what solutions/ gives, and notebooks are run so that outputs can be compared."""

import os
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from authoring.derive import BadMarkers, derive, derive_source, differences, main
from authoring.execute import NotebookFailed, clean_environment, execute, save

BODY = "    ### BEGIN SOLUTION\n    y = 2\n    return y * x\n    ### END SOLUTION\n"
SOLUTION = f'def f(x):\n    """Twice."""\n{BODY}'
CARD = "try:\n    print(f(2))\nexcept NotImplementedError as error:\n    print(error)"


@pytest.fixture
def course(tmp_path):
    """A small course with one solution and its exercise."""
    cells = [
        new_markdown_cell("# Exercise", id="title"),
        new_code_cell(SOLUTION, id="edit"),
        new_code_cell(CARD, id="card"),
        new_markdown_cell("Why so.", id="why", metadata={"tags": ["solution-only"]}),
    ]
    save(new_notebook(cells=cells), tmp_path / "solutions" / "01_a.ipynb")
    return tmp_path


def read(path: Path):
    return nbformat.read(path, as_version=4)


def change(path: Path, cell: int, source: str) -> None:
    notebook = read(path)
    notebook.cells[cell].source = source
    save(notebook, path)


def test_every_exercise_of_the_course_is_what_its_solution_gives(root):
    assert list((root / "solutions").glob("*.ipynb")), "no solutions to look at"
    assert differences(root) == []


def test_every_exercise_has_been_run(root):
    for path in [*(root / "exercises").glob("*.ipynb"), *(root / "solutions").glob("*.ipynb")]:
        cells = [cell for cell in read(path).cells if cell.cell_type == "code"]
        run = cells and all(cell.execution_count for cell in cells)
        assert run, f"{path.name} has cells without outputs; run `make exercises`"


def test_untouched_exercises_say_not_yet_and_solutions_right(root):
    def verdicts(path):
        outputs = [output for cell in read(path).cells for output in cell.get("outputs", [])]
        texts = [output.get("data", {}).get("text/plain", "") for output in outputs]
        cards = [text for text in texts if text.startswith("Task") and "To answer:" not in text]
        return [text.split("\n")[1].split(":")[0] for text in cards]

    for path in (root / "solutions").glob("*.ipynb"):
        exercise, solution = verdicts(root / "exercises" / path.name), verdicts(path)
        assert len(exercise) >= 3
        assert set(exercise) == {"Not yet"} and set(solution) == {"Right"}


def test_deriving_and_deriving_again(course, capsys):
    assert main(["--check"], course) == 1 and "missing" in capsys.readouterr().out
    assert main([], course) == 0 and "derived anew" in capsys.readouterr().out
    target = course / "exercises" / "01_a.ipynb"
    exercise, solution = read(target), read(course / "solutions" / "01_a.ipynb")
    assert [cell.id for cell in exercise.cells] == ["title", "edit", "card"]
    stub = '    raise NotImplementedError("your code here")\n'
    assert exercise.cells[1].source == f'def f(x):\n    """Twice."""\n{stub}'
    assert exercise.cells[2].outputs[0].text == "your code here\n"
    assert solution.cells[2].outputs[0].text == "4\n"
    before = target.read_bytes()
    assert main(["--check"], course) == 0
    assert main(["01"], course) == 0 and "unchanged" in capsys.readouterr().out
    assert target.read_bytes() == before


def test_an_edited_exercise_is_noticed(course):
    main([], course)
    change(course / "exercises" / "01_a.ipynb", 1, "def f(x):\n    return 2 * x")
    assert differences(course) == [
        "exercises/01_a.ipynb: cell 2 is not what solutions/01_a.ipynb gives; change the solution"
        " and run `make exercises`"
    ]


def test_an_edited_solution_is_noticed(course):
    main([], course)
    change(course / "solutions" / "01_a.ipynb", 0, "# Another title")
    assert "cell 1" in differences(course)[0]


def test_an_exercise_without_solution_is_noticed(course):
    main([], course)
    (course / "solutions" / "01_a.ipynb").rename(course / "solutions" / "02_b.ipynb")
    assert any("there is no solutions/01_a.ipynb" in line for line in differences(course))


def test_a_stub_of_ones_own():
    source = "    ### BEGIN SOLUTION: answer = ...\n    answer = 42\n    ### END SOLUTION"
    assert derive_source(source, "") == ("    answer = ...", 1)


@pytest.mark.parametrize(
    "source, said",
    [
        ("### BEGIN SOLUTION\nx = 1", "line 1: BEGIN without END"),
        ("x = 1\n### END SOLUTION", "line 2: END without BEGIN"),
        ("### BEGIN SOLUTION\n### BEGIN SOLUTION\n### END SOLUTION", "line 2: BEGIN inside"),
        ("x = 1  # BEGIN SOLUTION", "a line of its own"),
    ],
)
def test_bad_markers_are_named(source, said):
    with pytest.raises(BadMarkers, match=said):
        derive_source(source, "here")


def test_a_solution_without_markers_is_refused():
    with pytest.raises(BadMarkers, match="nothing to solve"):
        derive(new_notebook(cells=[new_code_cell("x = 1")]), "01.ipynb")


def test_a_failing_notebook_changes_nothing_and_says_where(tmp_path):
    path = tmp_path / "bad.ipynb"
    cells = [new_code_cell("x = 1", id="one"), new_code_cell("print(y)", id="two")]
    save(new_notebook(cells=cells), path)
    before = path.read_bytes()
    with pytest.raises(NotebookFailed, match="bad.ipynb, cell 2 of 2: (?s:.*)NameError") as failed:
        execute(path)
    assert path.read_bytes() == before and "\x1b" not in str(failed.value)


def test_outputs_hold_nothing_that_differs_from_run_to_run(tmp_path):
    path = tmp_path / "widgets.ipynb"
    cells = [
        new_code_cell("import ipywidgets\nipywidgets.IntSlider(value=3)", id="widget"),
        new_code_cell("1 / 0", id="error", metadata={"tags": ["raises-exception"]}),
        new_code_cell("import os; os.environ.get('HF_TOKEN')", id="token"),
    ]
    save(new_notebook(cells=cells), path)
    before = os.environ.get("HF_TOKEN")
    execute(path)
    first = path.read_text()
    execute(path)
    assert path.read_text() == first
    assert not [word for word in ("model_id", "Traceback", str(tmp_path)) if word in first]
    assert "IntSlider(value=3)" in first
    assert os.environ.get("HF_TOKEN") == before


def test_the_clean_environment_has_nothing_personal(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    monkeypatch.setenv("COURSE_MODE", "live")
    clean = clean_environment(tmp_path)
    assert "HF_TOKEN" not in clean
    assert clean["COURSE_MODE"] == "replay" and clean["COURSE_PACE"] == "0"
    assert clean["HF_HOME"].startswith(str(tmp_path)) and clean["HF_HUB_DISABLE_TELEMETRY"] == "1"
