"""The notebooks' own test: nbval compares strictly, in surroundings that hold nothing personal."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat.v4 as nb4
from nbformat import write

ROOT = Path(__file__).resolve().parent.parent
LOOK = """import os
print(os.environ.get("HF_TOKEN"), os.environ.get("OPENAI_API_KEY"),
      os.environ["COURSE_PACE"], os.environ["HF_HUB_DISABLE_TELEMETRY"])
print(os.path.expanduser("~") in os.environ["HF_HOME"],
      "progress-" in os.environ["COURSE_PROGRESS"],
      os.path.exists(os.environ["COURSE_PROGRESS"]))"""

# The same picture, compressed on two machines.
PICTURE = (
    "print('<img src=\"data:image/png;base64,iVBOR/here+=\">')",
    '<img src="data:image/png;base64,iVBOR/there=">\n',
)


def notebook(path, *cells):
    """A notebook of (source, what it printed when it ran)."""
    made = nb4.new_notebook()
    for number, (source, printed) in enumerate(cells, 1):
        made.cells.append(
            nb4.new_code_cell(
                source,
                execution_count=number,
                outputs=[nb4.new_output("stream", name="stdout", text=printed)],
            )
        )
    write(made, path)


def test_tests_hold_nothing_personal():
    personal = {
        name: os.environ.get(name)
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "OPENAI_API_KEY", "MPLBACKEND")
    }
    assert personal == dict.fromkeys(personal)
    assert os.environ["COURSE_PACE"] == "0" and os.environ["HF_HUB_DISABLE_TELEMETRY"] == "1"
    assert Path(os.environ["HF_HOME"]) != Path.home() / ".cache" / "huggingface"
    assert Path(os.environ["COURSE_PROGRESS"]).parent != ROOT / "exercises"


def test_nbval_compares_strictly_with_a_clean_kernel_and_progress_of_its_own(tmp_path):
    progress = (
        "import os\nwith open(os.environ['COURSE_PROGRESS'], 'a') as file:\n    print(file.tell())"
    )
    notebook(
        tmp_path / "a_right.ipynb",
        (LOOK, "None None 0 1\nFalse True False\n"),
        (progress, "0\n"),
        PICTURE,
    )
    notebook(tmp_path / "b_wrong.ipynb", ("print('new')", "old\n"))
    notebook(
        tmp_path / "c_apart.ipynb",
        (progress + "\nprint(os.path.getsize(os.environ['COURSE_PROGRESS']))", "0\n0\n"),
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-c",
        str(ROOT / "pyproject.toml"),
        f"--rootdir={ROOT}",
        "-p",
        "no:cacheprovider",
        "-rA",
        "-q",
        str(tmp_path),
    ]
    outside = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")
    }  # not as a worker of this run
    environment = outside | {
        "HF_TOKEN": "a token",
        "OPENAI_API_KEY": "a key",
        "COURSE_PACE": "1",
        "COURSE_PROGRESS": "mine.json",
    }
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    outcome = {
        name: word
        for word, name in re.findall(
            r"^(PASSED|FAILED) \S*?(\w+\.ipynb::Cell \d)", done.stdout, re.MULTILINE
        )
    }
    right = dict.fromkeys((f"a_right.ipynb::Cell {number}" for number in range(3)), "PASSED")
    assert outcome == right | {
        "b_wrong.ipynb::Cell 0": "FAILED",
        "c_apart.ipynb::Cell 0": "PASSED",
    }, done.stdout


def test_what_takes_long_begins_first():
    import hermetic

    for beginning in hermetic.LONG_FIRST:
        assert (
            any(path.is_file() for path in ROOT.glob(f"{beginning}*"))
            or (ROOT / beginning).is_dir()
        ), f"{beginning} is no longer there"
    long, notebook, rest = (
        hermetic.place(path)
        for path in (
            hermetic.LONG_FIRST[0] + "test_x.py",
            "exercises/05_embeddings.ipynb",
            "tests/test_log.py",
        )
    )
    assert long < notebook < rest


def test_workers_keep_that_order(request):
    assert request.config.option.loadscopereorder is False or "PYTEST_XDIST_WORKER" in os.environ
