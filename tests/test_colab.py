"""A session on Colab, as near as one gets: its versions, its modules, no file of the course.

The notebooks' cell `setup` itself installs the course, from a repository on this machine, over
Colab's older clients. `make colab` (COLAB_NOTEBOOKS=all) runs every notebook there, else a few.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from guards import ROOT, code_cells, notebooks, read, tracked

from authoring import badges
from authoring.execute import clean_environment

VERSIONS = ROOT / "tests" / "colab.txt"
FEW = (
    "notebooks/05_embeddings",
    "notebooks/08_serverless_or_endpoints",
    "exercises/01_first_call",
    "solutions/01_first_call",
)
# What uv and pip say where no package index can be reached. (The course's build needs hatchling,
# which every index has.)
NO_INDEX = re.compile(
    r"error sending request|dns error|failed to fetch|NewConnectionError|name resolution"
    r"|distribution found for hatchling",
    re.I,
)
MUST_CHANGE = {"hf-inference-course", "huggingface-hub", "openai", "httpx2"}
MAY_CHANGE = MUST_CHANGE | {"httpcore2", "truststore", "stamina", "tenacity"}
SECRET = "hf_" + "Cq8" * 12  # put together here: nothing in this file looks like a token

NO_WHEELS = "Colab's numpy 2.1.3 and matplotlib 3.10.0 have no wheels for this Python"
NO_GIT = "Colab installs the course with git, which is missing here: apt-get install git"
pytestmark = [
    pytest.mark.skipif(sys.version_info >= (3, 14), reason=NO_WHEELS),
    pytest.mark.skipif(shutil.which("git") is None, reason=NO_GIT),
]

# What Colab's kernels have loaded, as far as anybody asks for it: the package and its secrets.
USERDATA = """
import os
from google.colab.errors import Error

class SecretNotFoundError(Error): pass
class NotebookAccessError(Error): pass

def get(name):
    secrets = dict([os.environ["STUB_SECRETS"].split("=")]) if "STUB_SECRETS" in os.environ else {}
    if name not in secrets:
        raise SecretNotFoundError(name)
    return secrets[name]
"""
ERRORS = "class Error(Exception): pass\n"
STUB = {"__init__.py": "", "errors.py": ERRORS, "userdata.py": USERDATA}
COLAB = (
    "import builtins, google.colab\nbuiltins.get_ipython = lambda:"
    " '<google.colab._shell.Shell object>'\n"
)


def run(*command, env=None, check=True, timeout=600, **options):
    how = {"env": env, "capture_output": True, "text": True, "timeout": timeout} | options
    done = subprocess.run(list(map(str, command)), **how)
    said = f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert not check or done.returncode == 0, f"{' '.join(map(str, command[:6]))} …\n{said}"
    return done


def skip_without_index(done: subprocess.CompletedProcess) -> None:
    if done.returncode and NO_INDEX.search(done.stderr):
        pytest.skip("no package index can be reached from here")


class Colab:
    """A Python with Colab's packages, in a folder of its own that holds nothing of the course."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.content = folder / "content"  # where Colab's notebooks run
        self.content.mkdir()
        venv = folder / "venv"
        self.python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        packages = ("-r", VERSIONS, "pytest", "nbval")
        self.uv("venv", "-q", "--seed", "--python", sys.executable, venv)
        self.uv("pip", "install", "-q", "--only-binary=:all:", "--python", self.python, *packages)
        where = "import sysconfig; print(sysconfig.get_path('purelib'))"
        site = run(self.python, "-c", where).stdout.strip()
        for name, source in STUB.items():
            file = Path(site) / "google" / "colab" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(source)
        self.env = clean_environment(folder)
        for name in ("PYTHONPATH", "COURSE_MODE", "COURSE_PROGRESS"):
            self.env.pop(name)  # COURSE_PACE stays: nobody waits
        self.env["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
        startup = Path(self.env["IPYTHONDIR"]) / "profile_default" / "startup" / "00.py"
        startup.parent.mkdir(parents=True)
        startup.write_text("import google.colab\n")

    def uv(self, *arguments) -> None:
        done = run(sys.executable, "-m", "uv", *arguments, check=False)
        skip_without_index(done)
        assert done.returncode == 0, done.stderr

    def packages(self) -> dict[str, str]:
        listed = run(self.python, "-m", "pip", "list", "--format=json", env=self.env).stdout
        rows = json.loads(listed)
        return {row["name"].lower().replace("_", "-"): row["version"] for row in rows}

    def cell(self, source, before="", check=True, **environment) -> subprocess.CompletedProcess:
        """Run a cell as Colab would: its package is loaded, and the shell calls itself Colab's."""
        code, env = f"{COLAB}{before}\n{source}", self.env | environment
        return run(self.python, "-c", code, env=env, check=check, cwd=self.content)

    def nbval(self, folder: Path) -> subprocess.CompletedProcess:
        """Run the notebooks in a folder and compare strictly; no file of the course is in sight."""
        settings = self.folder / "pytest.ini"
        settings.write_text("[pytest]\n")
        plain = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", settings)
        compare = ("--nbval", "--nbval-current-env", "--nbval-cell-timeout=600")
        plain += ("--rootdir", folder)
        sanitize = ("--nbval-sanitize-with", ROOT / "tests" / "nbval_sanitize.cfg", folder)
        how = {"env": self.env, "cwd": folder, "check": False, "timeout": 1800}
        return run(self.python, *plain, *compare, *sanitize, **how)


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> str:
    """The address of a git repository with the course as it stands here."""
    folder = tmp_path_factory.mktemp("repository")
    for path in tracked():
        named = path.relative_to(ROOT)
        if named.parts[0] == "helpers" or str(named) in ("pyproject.toml", "README.md", "LICENSE"):
            (folder / named).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / named)
    who = ("user.name=course", "user.email=course@localhost", "commit.gpgsign=false")
    git = ["git", "-C", folder, *(word for setting in who for word in ("-c", setting))]
    run(*git, "init", "-q")
    run(*git, "checkout", "-q", "-b", badges.BRANCH)
    run(*git, "add", "-A")
    run(*git, "commit", "-q", "-m", "The course")
    return folder.as_uri()


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> Colab:
    """Colab before the course is installed."""
    return Colab(tmp_path_factory.mktemp("colab"))


@pytest.fixture(scope="module")
def colab(bare, repository) -> Colab:
    """Colab after the cell `setup`, which ran while an older client was loaded: `said` is what it
    said, `changed` the new versions of all packages that it put in or replaced."""
    before = bare.packages()
    done = bare.cell(badges.setup(repository), before="import huggingface_hub", check=False)
    skip_without_index(done)
    bare.said, bare.changed = done.stderr, dict(bare.packages().items() - before.items())
    return bare


# ---- the cell `setup`: before, during and after ------------------------------------------------
# In the order of a session: the first test must come before anything is installed.


def test_an_installation_that_fails_stops_the_notebook_and_says_why(bare, tmp_path):
    before = bare.packages()
    done = bare.cell(badges.setup((tmp_path / "nothing").as_uri()), check=False)
    assert done.returncode == 1
    says = "RuntimeError: The course was not installed. Run this cell again. pip says:"
    assert says in done.stderr
    assert "nothing" in done.stderr.rsplit("pip says:")[-1]
    assert bare.packages() == before


def test_nothing_of_colabs_own_is_touched(colab):
    assert MUST_CHANGE <= set(colab.changed) <= MAY_CHANGE, colab.changed
    have = colab.packages()
    for line in VERSIONS.read_text().splitlines():
        name, _, version = line.lower().replace("_", "-").partition("==")
        assert line.startswith("#") or have[name] == version or name in MAY_CHANGE, line


def test_a_client_that_is_already_loaded_asks_for_a_restart(colab):
    says = r"huggingface_hub 1\.27\.0 is loaded, 2\.\S+ is installed\. Restart the session"
    assert re.search("ImportError: " + says, colab.said), colab.said
    module = "types.SimpleNamespace(__version__='1.27.0')"
    loaded = f"import sys, types\nsys.modules['huggingface_hub'] = {module}"
    done = colab.cell("from helpers import start", before=loaded, check=False)
    assert "Restart the session" in done.stderr


def test_once_installed_the_cell_installs_nothing(colab, tmp_path):
    where = "\nimport helpers; print(helpers.__file__)"
    done = colab.cell(badges.setup((tmp_path / "nothing").as_uri()) + where)
    assert Path(done.stdout.strip()).is_relative_to(colab.folder / "venv")


def test_elsewhere_the_cell_does_nothing(bare, tmp_path):
    done = run(bare.python, "-c", badges.setup((tmp_path / "nothing").as_uri()), env=bare.env)
    assert (done.stdout, done.stderr) == ("", "")


# ---- the token: a secret of Colab --------------------------------------------------------------

REPLAY = 'from helpers import start\nsession = start("01_first_call")\n'
LIVE = REPLAY.replace(")", ', mode="live")')
ASK = "from huggingface_hub import get_token\nprint(get_token())\n"
HAS_SECRET = {"STUB_SECRETS": f"HF_TOKEN={SECRET}"}


def test_the_secret_is_found_by_get_token_and_can_be_hidden(colab):
    """Both clients are built with get_token(): huggingface_hub asks it itself, the lessons pass it
    to openai."""
    hide = f"with session.without_token(): print(get_token())\n{ASK}"
    said = colab.cell(LIVE + ASK + hide, **HAS_SECRET).stdout.splitlines()
    assert said[0].startswith("Live: your token pays.") and said[1:] == [SECRET, "None", SECRET]
    assert colab.cell(ASK, **HAS_SECRET).stdout.strip() == SECRET


def test_a_secret_alone_does_not_switch_to_live(colab):
    said = colab.cell(REPLAY + ASK, **HAS_SECRET).stdout
    assert said.startswith("Replay: nothing leaves this machine.") and SECRET not in said


def test_a_missing_secret_is_said_in_a_sentence_and_replay_goes_on(colab):
    done = colab.cell(LIVE, check=False)
    assert "RuntimeError: Live needs your own token" in done.stderr
    assert "on Colab: add the secret HF_TOKEN" in done.stderr
    assert colab.cell(REPLAY).stdout.startswith("Replay: nothing leaves this machine.")


def test_the_doctor_is_content(colab):
    shutil.copy(ROOT / "doctor.py", colab.content)  # alone: the rest comes from the wheel
    said = run(colab.python, "doctor.py", env=colab.env, cwd=colab.content, check=False).stdout
    assert "pyproject.toml asks for" in said and "none; Replay and Practice need none" in said, said


# ---- the notebooks -----------------------------------------------------------------------------


def chosen() -> list[Path]:
    every = os.environ.get("COLAB_NOTEBOOKS") == "all"
    return [path for path in notebooks() if every or f"{path.parent.name}/{path.stem}" in FEW]


def test_the_notebooks_show_what_they_show_elsewhere(colab, tmp_path):
    """One run for all of them, in folders as in the repository."""
    for path in chosen():
        (tmp_path / path.parent.name).mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / path.parent.name)
    done = colab.nbval(tmp_path)
    assert done.returncode == 0, done.stdout[-8000:]
    ran = sum(map(int, re.findall(r"(\d+) (?:passed|skipped)", done.stdout)))
    assert ran == sum(len(list(code_cells(read(path)))) for path in chosen())
    if any(path.parent.name == "solutions" for path in chosen()):
        # What an exercise keeps lands beside it.
        assert (tmp_path / "solutions" / "progress.json").exists()


def test_another_output_would_be_seen(colab, tmp_path):
    """In the kernel of the test above: with Colab's versions and modules."""
    versions = "IPython.__version__, ipywidgets.__version__"
    source = f"import sys, IPython, ipywidgets\nprint('google.colab' in sys.modules, {versions})"
    new = nbformat.v4
    output = new.new_output("stream", name="stdout", text="False 9 8\n")
    cell = new.new_code_cell(source, execution_count=1, outputs=[output])
    nbformat.write(new.new_notebook(cells=[cell]), tmp_path / "made.ipynb")
    done = colab.nbval(tmp_path)
    assert done.returncode == 1 and "True 7.34.0 7.7.1" in done.stdout, done.stdout
