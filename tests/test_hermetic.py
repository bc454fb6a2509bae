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
IMAGE = '<img src="data:image/png;base64,iVBOR/{}=">'
PICTURE = (f"print('{IMAGE.format('here+=')}')", IMAGE.format("there") + "\n")


def notebook(path, *cells_ran):
    """A notebook of (source, what it printed when it ran)."""
    cells = []
    for number, (source, printed) in enumerate(cells_ran, 1):
        output = nb4.new_output("stream", name="stdout", text=printed)
        cells.append(nb4.new_code_cell(source, execution_count=number, outputs=[output]))
    write(nb4.new_notebook(cells=cells), path)


def test_tests_hold_nothing_personal():
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "OPENAI_API_KEY", "MPLBACKEND"):
        assert name not in os.environ
    assert os.environ["COURSE_PACE"] == "0" and os.environ["HF_HUB_DISABLE_TELEMETRY"] == "1"
    assert Path(os.environ["HF_HOME"]) != Path.home() / ".cache" / "huggingface"
    assert Path(os.environ["COURSE_PROGRESS"]).parent != ROOT / "exercises"


def test_nbval_compares_strictly_with_a_clean_kernel_and_progress_of_its_own(tmp_path):
    progress = "import os\nwhere = os.environ['COURSE_PROGRESS']\nwith open(where, 'a') as file:"
    progress += "\n    print(file.tell())"
    looked = (LOOK, "None None 0 1\nFalse True False\n")
    notebook(tmp_path / "a_right.ipynb", looked, (progress, "0\n"), PICTURE)
    notebook(tmp_path / "b_wrong.ipynb", ("print('new')", "old\n"))
    size = progress + "\nprint(os.path.getsize(where))"
    notebook(tmp_path / "c_apart.ipynb", (size, "0\n0\n"))
    ours = ["-c", str(ROOT / "pyproject.toml"), f"--rootdir={ROOT}", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *ours, "-rA", "-q", str(tmp_path)]
    # Not as a worker of this run.
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    env |= {"HF_TOKEN": "a token", "OPENAI_API_KEY": "a key"}
    env |= {"COURSE_PACE": "1", "COURSE_PROGRESS": "mine.json"}
    how = {"capture_output": True, "text": True, "timeout": 600}
    done = subprocess.run(command, cwd=ROOT, env=env, **how)
    line = r"^(PASSED|FAILED) \S*?(\w+\.ipynb::Cell \d)"
    outcome = {name: word for word, name in re.findall(line, done.stdout, re.MULTILINE)}
    wanted = {f"a_right.ipynb::Cell {number}": "PASSED" for number in range(3)}
    wanted |= {"b_wrong.ipynb::Cell 0": "FAILED", "c_apart.ipynb::Cell 0": "PASSED"}
    assert outcome == wanted, done.stdout


def test_what_takes_long_begins_first():
    import hermetic

    for beginning in hermetic.LONG_FIRST:
        there = [path for path in ROOT.glob(f"{beginning}*") if path.is_file()]
        assert there or (ROOT / beginning).is_dir(), f"{beginning} is no longer there"
    in_order = (hermetic.LONG_FIRST[0] + "test_x.py", "exercises/05_embeddings.ipynb")
    long, notebook, rest = map(hermetic.place, (*in_order, "tests/test_log.py"))
    assert long < notebook < rest


def test_workers_keep_that_order(request):
    assert request.config.option.loadscopereorder is False or "PYTEST_XDIST_WORKER" in os.environ
