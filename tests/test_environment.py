"""One list of dependencies, true everywhere: locks, conda, Binder, Makefile and platforms."""

import importlib.util
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from guards import tracked
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PLATFORMS = ("linux", "macos", "windows")
NO_INDEX = re.compile(r"error sending request|dns error|failed to fetch|Connect", re.I)
# What each platform says of itself to the markers of a lock line.
SAYS = ("sys_platform", "os_name", "platform_system", "platform_machine")
MARKERS = {
    "linux": dict(zip(SAYS, ("linux", "posix", "Linux", "x86_64"))),
    "macos": dict(zip(SAYS, ("darwin", "posix", "Darwin", "arm64"))),
    "windows": dict(zip(SAYS, ("win32", "nt", "Windows", "AMD64"))),
}
each_python = pytest.mark.parametrize("python", PYTHONS)
each_platform = pytest.mark.parametrize("platform", PLATFORMS)
not_on_windows = pytest.mark.skipif(os.name == "nt", reason="a matter of Linux and macOS")


def run(*command, cwd=ROOT, check=True, timeout=240, **options):
    """The process when it has ended; with `check` it must have ended well."""
    how = {"capture_output": True, "text": True, "timeout": timeout} | options
    done = subprocess.run(list(map(str, command)), cwd=cwd, **how)
    assert not check or done.returncode == 0, done.stderr[-2000:]
    return done


def uv(*arguments, offline=True, **options):
    """What uv says; skips the test where no package index can be reached and, with `offline`, what
    was fetched before is not enough."""
    command = [sys.executable, "-m", "uv", *arguments]
    done = run(*command, check=False, timeout=1200, **options)
    if done.returncode and NO_INDEX.search(done.stderr):
        if offline:
            done = run(*command, "--offline", check=False, timeout=1200, **options)
        if done.returncode:
            pytest.skip("no package index can be reached from here")
    assert done.returncode == 0, done.stderr
    return done.stdout


def yaml_of(path):
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(*extras):
    lines = itertools.chain(PROJECT["dependencies"], *(EXTRAS[extra] for extra in extras))
    return list(map(Requirement, lines))


def as_one_spelling(need):
    return normal(need.name), str(need.specifier), str(need.marker)


def counts(need, python, platform):
    """Does this requirement count for this Python on this platform?"""
    about = MARKERS[platform] | {"python_version": python, "python_full_version": f"{python}.7"}
    about |= {"implementation_name": "cpython", "platform_python_implementation": "CPython"}
    return need.marker is None or need.marker.evaluate(about)


def locked(lock):
    return (ROOT / "locks" / f"{lock}.txt").read_text(encoding="utf-8")


def pins(lock, python="3.11", platform="linux"):
    """{name: version} of the lines of a lock that count for this Python on this platform."""
    lines = re.findall(r"^([\w.-]+==[^\\\n]+?)\s*\\$", locked(lock), re.MULTILINE)
    needs = [need for need in map(Requirement, lines) if counts(need, python, platform)]
    return {normal(need.name): str(need.specifier)[2:] for need in needs}


# ---- the locks ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lock", "extras"), [("lab", ["lab"]), ("hub", ["lab", "hub"]), ("test", list(EXTRAS))]
)
@each_python
@each_platform
def test_lock_satisfies_pyproject(lock, extras, python, platform):
    found = pins(lock, python, platform)
    for need in declared(*extras):
        if counts(need, python, platform):
            has = found.get(normal(need.name))
            assert has, f"{need.name} is not in locks/{lock}.txt: make lock"
            fits = need.specifier.contains(has, prereleases=True)
            assert fits, f"{need} but locks/{lock}.txt has {has}: make lock"


@each_python
@each_platform
def test_test_lock_holds_the_other_locks(python, platform):
    lab, hub, test = (pins(lock, python, platform) for lock in ("lab", "hub", "test"))
    assert lab.items() <= hub.items() <= test.items()
    assert pins("uv", python, platform) == {"uv": test["uv"]}


@pytest.mark.parametrize("lock", ["lab", "hub", "test", "uv"])
def test_lock_has_hashes_and_no_addresses(lock):
    text = locked(lock)
    entries = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
    assert len(entries) == len(re.findall("==", re.sub(r" ; .*|#.*", "", text))) > 0
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text


# ---- every supported Python on every platform --------------------------------------------------

# Nothing is installed and no Python is fetched or looked for (`--python`: that took most of the
# time).
COMPILE = ["pip", "compile", "-q", "--no-python-downloads", "--only-binary=:all:", "--python"]


def resolved(*arguments, cwd, python, platform):
    """{name: version} as uv finds them for another Python and platform."""
    for_them = ("--python-version", f"{python}.7", "--python-platform", platform)
    # macOS 14 is the oldest that Apple still mends.
    env = os.environ | {"MACOSX_DEPLOYMENT_TARGET": "14.0"}
    said = uv(*COMPILE, sys.executable, *for_them, *arguments, cwd=cwd, env=env)
    found = re.findall(r"^([\w.-]+)==(\S+)", said, re.MULTILINE)
    return {normal(name): version for name, version in found}


@each_python
@each_platform
def test_learners_dependencies_resolve_from_wheels(python, platform):
    """As for somebody who installs without a lock: conda, Binder, Colab, `pip install`."""
    arguments = ("--extra", "lab", "pyproject.toml")
    found = resolved(*arguments, cwd=ROOT, python=python, platform=platform)
    for need in declared("lab"):
        assert need.specifier.contains(found[normal(need.name)], prereleases=True)


@pytest.mark.parametrize("python", (PYTHONS[0], PYTHONS[-1]))
@each_platform
def test_locked_versions_have_wheels(python, platform, tmp_path):
    """The whole test set can be installed as locked; nothing has to be compiled."""
    pinned = pins("test", python, platform)
    lines = [f"{name}=={version}\n" for name, version in pinned.items()]
    (tmp_path / "locked.in").write_text("".join(lines))
    found = resolved("locked.in", cwd=tmp_path, python=python, platform=platform)
    assert found == pinned, "the lock lacks, or has too much, for this platform: make lock"


def test_the_wheel_carries_all_that_a_notebook_needs(tmp_path):
    """Colab installs the wheel and has no other file of the course."""
    uv("build", "-q", "--wheel", "--out-dir", tmp_path, ROOT, offline=False)
    (wheel,) = tmp_path.glob("*.whl")
    carried = set(zipfile.ZipFile(wheel).namelist())
    helpers = [path for path in tracked() if ROOT / "helpers" in path.parents]
    listed = {path.relative_to(ROOT).as_posix() for path in helpers}
    assert {"helpers/__init__.py", "helpers/models.toml"} <= listed <= carried
    assert not {name.split("/")[0] for name in carried} & {"authoring", "tests", "notebooks"}


# ---- conda and Binder --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def conda():
    return yaml_of("environment.yml")


def test_environment_yml_adds_nothing_of_its_own(conda):
    assert conda["dependencies"] == ["python=3.12", "pip", {"pip": ["-e .[lab]"]}]
    assert conda["name"] == PROJECT["name"] and conda["channels"] == ["conda-forge"]


def test_environment_yml_installs_this_project_with_an_extra_it_has(conda):
    editable = re.fullmatch(r"-e (\.)\[(\w+)\]", conda["dependencies"][-1]["pip"][0])
    assert (ROOT / editable[1] / "pyproject.toml").exists() and editable[2] in EXTRAS


def test_environment_yml_is_what_conda_and_repo2docker_can_read(conda):
    from rattler import MatchSpec

    python, pip = (MatchSpec(line) for line in conda["dependencies"] if isinstance(line, str))
    assert (str(python), str(pip).split()[0]) == ("python 3.12.*", "pip")
    # repo2docker reads the version with this pattern; where it does not match, Python is 3.10.
    version = re.match(r"python\s*=+\s*([\d.]*)", conda["dependencies"][0])[1]
    assert version in PYTHONS and SpecifierSet(PROJECT["requires-python"]).contains(version)


def dockerfile_of(folder: Path) -> tuple[str, str]:
    """(Dockerfile, what was said) as Binder would build the image of a folder; needs no Docker."""
    if importlib.util.find_spec("repo2docker") is None or os.name == "nt":
        pytest.skip("repo2docker runs on Linux and macOS only")
    done = run(sys.executable, "-m", "repo2docker", "--no-build", "--debug", ".", cwd=folder)
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def dockerfile():
    return dockerfile_of(ROOT)


def python_in(dockerfile: tuple[str, str]) -> str:
    """The Python that an image would have."""
    return re.search(r"Building conda environment for python=(\S+)", dockerfile[1])[1]


def steps_with(dockerfile: tuple[str, str], word: str) -> list[str]:
    """The instructions that contain a word, in order, each on one line."""
    lines = re.sub(r"\\\n\s*", "", dockerfile[0]).splitlines()
    return [line for line in lines if word in line and not line.lstrip().startswith("#")]


def test_binder_reads_python_and_installs_the_project(dockerfile):
    text, _ = dockerfile
    assert python_in(dockerfile) == "3.12"
    assert "environment.py-3.12" in re.sub(r"-2e", ".", text).replace("-2d", "-")
    assert re.search(r'env update -p \$\{NB_PYTHON_PREFIX\} --file "environment\.yml"', text)
    # The project is copied before it is installed: environment.yml names a local path.
    assert text.index("COPY --chown=0:0 src/ ${REPO_DIR}/") < text.index("env update -p")


def test_binder_runs_no_step_of_ours_but_the_installation(dockerfile):
    """So that what the next tests install is all that Binder installs."""
    assert len(steps_with(dockerfile, "environment.yml")) == 1
    for hook in ("postBuild", "start", "apt.txt", "requirements.txt", "setup.py", "install.R"):
        assert not (ROOT / hook).exists()
    assert not steps_with(dockerfile, "postBuild") and not steps_with(dockerfile, "pip install")


ONLY_EXACT = [("=3.12", "3.12"), ("==3.13", "3.13"), (">=3.12", "3.10"), (" 3.12", "3.10")]


@pytest.mark.parametrize("version, python", ONLY_EXACT)
def test_binder_reads_only_an_exact_python(version, python, tmp_path):
    """Why environment.yml says `python=3.12`: another spelling would be passed over."""
    (tmp_path / "environment.yml").write_text(f"dependencies:\n  - python{version}\n")
    assert python_in(dockerfile_of(tmp_path)) == python


def test_nothing_hides_environment_yml_from_binder(tmp_path):
    assert not (ROOT / "binder").exists() and not (ROOT / ".binder").exists()
    (tmp_path / "environment.yml").write_text("dependencies:\n  - python=3.12\n")
    (tmp_path / ".binder").mkdir()
    (tmp_path / ".binder" / "postBuild").write_text("")
    assert "environment.yml" not in dockerfile_of(tmp_path)[0]


@pytest.fixture(scope="module")
def as_binder_installs(conda, tmp_path_factory):
    """(Python, folder): the repository's files, copied and installed as the Dockerfile does, with
    nothing else there.

    conda writes the pip section into a file beside environment.yml and installs it in that folder;
    so it is done here.
    """
    folder = tmp_path_factory.mktemp("binder") / "repository"
    for path in tracked():
        copy = folder / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    venv = folder.parent / "environment"
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    wanted = folder / "condaenv.requirements.txt"
    wanted.write_text("\n".join(conda["dependencies"][-1]["pip"]))
    uv("venv", "-q", "--no-python-downloads", "--python", sys.executable, venv)
    uv("pip", "install", "-q", "--python", python, "-U", "-r", wanted.name, cwd=folder)
    return python, folder


def test_what_binder_installs_is_what_pyproject_declares(as_binder_installs):
    python, _ = as_binder_installs
    say = (
        "import importlib.metadata as m, json; print(json.dumps([m.requires('hf-inference-course'),"
        " {d.name: d.version for d in m.distributions()}]))"
    )
    requires, installed = json.loads(run(python, "-c", say).stdout)
    own = [Requirement(line) for line in requires if "extra ==" not in line]
    assert set(map(as_one_spelling, own)) == set(map(as_one_spelling, declared()))
    installed = {normal(name): version for name, version in installed.items()}
    for need in declared("lab"):
        assert need.specifier.contains(installed[normal(need.name)], prereleases=True), need
    for_maintainers = {"pytest", "nbval", "playwright", "spacy"}
    assert not for_maintainers & installed.keys()
    run(sys.executable, "-m", "uv", "pip", "check", "-q", "--python", python)


def test_a_notebook_runs_in_what_binder_installs(as_binder_installs, tmp_path):
    """Only what environment.yml brings: no PYTHONPATH, an empty home, no token."""
    python, folder = as_binder_installs
    kept = {"SYSTEMROOT", "TEMP", "TMP", "LANG"} & os.environ.keys()
    env = {name: os.environ[name] for name in kept} | {"COURSE_PACE": "0"}
    env |= {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    env["PATH"] = str(python.parent) + os.pathsep + os.environ["PATH"]
    notebook = folder / "notebooks" / "01_first_call.ipynb"
    command = (python, "-m", "jupyter", "execute", "--inplace", notebook)
    run(*command, env=env, cwd=folder, timeout=600)
    both = (ROOT / "notebooks" / notebook.name, notebook)
    before, after = (json.loads(path.read_text(encoding="utf-8"))["cells"] for path in both)
    assert sum(map(bool, map(printed, before))) > 15
    assert list(map(printed, after)) == list(map(printed, before))


def printed(cell) -> str:
    """What a cell printed, in however many pieces it came: a busy machine makes more of them."""
    return "".join("".join(output.get("text", "")) for output in cell.get("outputs", []))


# ---- the project, the Makefile and the workflows -----------------------------------------------


def test_supported_pythons_are_the_tested_ones():
    supported = SpecifierSet(PROJECT["requires-python"])
    minors = [minor for minor in range(8, 20) if supported.contains(f"3.{minor}.1")]
    assert minors == [int(python[2:]) for python in PYTHONS]


ABOUT = "jupyterlab 4|huggingface-hub 2.4|openai 3.54|numpy 2|matplotlib 3.11|ipywidgets 8"


def test_the_packages_notebooks_need_are_of_the_versions_the_course_is_about():
    found = pins("lab", "3.12")
    for name, version in map(str.split, ABOUT.split("|")):
        assert f"{found[name]}.".startswith(f"{version}."), f"{name} {found[name]}"


MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[1].split()


def runs(module):
    """Can it be run by `python -m`?"""
    find = importlib.util.find_spec
    found = find(module)
    return found and (not found.submodule_search_locations or find(f"{module}.__main__"))


@pytest.mark.parametrize("target", TARGETS)
def test_make_target_runs_something_that_exists(target):
    rule = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    assert rule, f"no rule for {target}"
    assert len(rule[1].splitlines()) <= 4
    for module in re.findall(r"-m (\w[\w.]*)", rule[1]):
        assert runs(module), f"make {target} runs {module}, which does not exist"


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_pages_name_only_commands_that_exist(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL))
    named = re.findall(r"\bmake ([a-z]\w+)", re.sub(r"(?m)^[^`]*$", "", code))
    assert set(named) <= set(TARGETS)
    for module in re.findall(r"python -m ((?:helpers|authoring)\.\w+)", text):
        assert runs(module), f"{page} names {module}"


@not_on_windows
def test_second_make_has_nothing_to_install():
    if not list((ROOT / ".venv").glob(".test-*")):
        pytest.skip("this environment was not made by make")
    planned = run("make", "-n", "test", check=False).stdout
    assert "pytest" in planned and "install" not in planned


WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflow_is_well_formed(path):
    workflow = yaml_of(path)
    assert workflow["name"] and workflow[True]  # YAML reads the key `on` as true
    assert workflow["permissions"]["contents"] == "read"
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 60 and job["runs-on"]
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step), step
            assert re.fullmatch(r"[\w-]+/[\w/-]+@v\d+", step.get("uses", "a/b@v1"))
            if os.name != "nt" and "run" in step and step.get("shell", "bash") == "bash":
                run("bash", "-n", input=re.sub(r"\$\{\{.*?\}\}", "x", step["run"]))


def test_the_workflows_are_there_and_cover_oldest_and_newest():
    made = {path.stem: yaml_of(path) for path in WORKFLOWS}
    assert {"test", "latest", "canary"} <= set(made)
    jobs = made["test"]["jobs"]
    assert jobs["linux"]["runs-on"].startswith("ubuntu")
    assert jobs["linux"]["container"].startswith("python:${{ matrix.python }}")
    systems = jobs["desktop"]["strategy"]["matrix"]["os"]
    assert {system.split("-")[0] for system in systems} == {"macos", "windows"}
    for job in jobs.values():
        assert job["strategy"]["matrix"]["python"] == [PYTHONS[0], PYTHONS[-1]]
    assert "schedule" in made["latest"][True] and "schedule" in made["canary"][True]
    assert made["canary"]["permissions"]["issues"] == "write"
    canary = ROOT / ".github/workflows/canary.yml"
    assert "secrets.HF_TOKEN" in canary.read_text(encoding="utf-8")


def test_latest_takes_every_dependency_without_its_limits():
    jobs = yaml_of(".github/workflows/latest.yml")["jobs"].values()
    steps = [step.get("run", "") for job in jobs for step in job["steps"]]
    script = re.search(r"<<'PYTHON'\n(.*?)\nPYTHON", "\n".join(steps), re.DOTALL)
    said = run(sys.executable, "-c", script[1], check=False).stdout
    assert said.split() == [requirement.name for requirement in declared(*EXTRAS)]


@not_on_windows
def test_ci_run_is_a_script_that_ends_with_the_suite():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK) and "make test" in script.read_text(encoding="utf-8")
    run("bash", "-n", script)
