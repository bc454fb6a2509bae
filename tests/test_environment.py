"""One list of dependencies, true everywhere: pyproject.toml against its locks, conda, Binder, the
Makefile and every platform."""

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
# What each platform says of itself to the markers of a lock line.
MARKERS = {
    "linux": {
        "sys_platform": "linux",
        "os_name": "posix",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
    },
    "macos": {
        "sys_platform": "darwin",
        "os_name": "posix",
        "platform_system": "Darwin",
        "platform_machine": "arm64",
    },
    "windows": {
        "sys_platform": "win32",
        "os_name": "nt",
        "platform_system": "Windows",
        "platform_machine": "AMD64",
    },
}


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(*extras):
    return [
        Requirement(line)
        for line in itertools.chain(PROJECT["dependencies"], *(EXTRAS[extra] for extra in extras))
    ]


def as_one_spelling(need):
    return normal(need.name), str(need.specifier), str(need.marker)


def pins(lock, python="3.11", platform="linux"):
    """{name: version} of the lines of locks/<lock>.txt that count for this Python on this
    platform."""
    about = MARKERS[platform] | {
        "python_version": python,
        "python_full_version": f"{python}.7",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    lines = re.findall(
        r"^([\w.-]+==[^\\\n]+?)\s*\\$",
        (ROOT / "locks" / f"{lock}.txt").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    wanted = [
        requirement
        for requirement in map(Requirement, lines)
        if requirement.marker is None or requirement.marker.evaluate(about)
    ]
    return {normal(requirement.name): str(requirement.specifier)[2:] for requirement in wanted}


# ---- the locks ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lock", "extras"), [("lab", ["lab"]), ("hub", ["lab", "hub"]), ("test", list(EXTRAS))]
)
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("platform", PLATFORMS)
def test_lock_satisfies_pyproject(lock, extras, python, platform):
    locked = pins(lock, python, platform)
    for need in declared(*extras):
        if need.marker is None or need.marker.evaluate(
            MARKERS[platform] | {"python_version": python, "python_full_version": f"{python}.7"}
        ):
            assert normal(need.name) in locked, f"{need.name} is not in locks/{lock}.txt: make lock"
            assert need.specifier.contains(locked[normal(need.name)], prereleases=True), (
                f"{need} but locks/{lock}.txt has {locked[normal(need.name)]}: make lock"
            )


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("platform", PLATFORMS)
def test_test_lock_holds_the_other_locks(python, platform):
    everything = pins("test", python, platform)
    assert (
        pins("lab", python, platform).items()
        <= pins("hub", python, platform).items()
        <= everything.items()
    )
    assert pins("uv", python, platform) == {"uv": everything["uv"]}


@pytest.mark.parametrize("lock", ["lab", "hub", "test", "uv"])
def test_lock_has_hashes_and_no_addresses(lock):
    text = (ROOT / "locks" / f"{lock}.txt").read_text(encoding="utf-8")
    entries = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
    assert len(entries) == len(re.findall("==", re.sub(r" ; .*|#.*", "", text))) > 0
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text


# ---- every supported Python on every platform --------------------------------------------------

NO_INDEX = re.compile(r"error sending request|dns error|failed to fetch|Connect", re.I)


def uv(*arguments, cwd, python, platform):
    """Run uv for another Python and platform. Nothing is installed and no Python is fetched or
    looked for (`--python`: that took most of the time)."""
    command = [
        sys.executable,
        "-m",
        "uv",
        "pip",
        "compile",
        "-q",
        "--no-python-downloads",
        "--python",
        sys.executable,
        "--only-binary=:all:",
        "--python-version",
        f"{python}.7",
        "--python-platform",
        platform,
        *arguments,
    ]
    # macOS 14 is the oldest that Apple still mends.
    environment = os.environ | {"MACOSX_DEPLOYMENT_TARGET": "14.0"}
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=1200
    )
    if done.returncode and NO_INDEX.search(done.stderr):
        done = subprocess.run(
            [*command, "--offline"],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            timeout=1200,
        )
        if done.returncode:
            pytest.skip("no package index can be reached from here")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("platform", PLATFORMS)
def test_learners_dependencies_resolve_from_wheels(python, platform):
    """As for somebody who installs without a lock: conda, Binder, Colab, `pip install`."""
    resolved = uv("--extra", "lab", "pyproject.toml", cwd=ROOT, python=python, platform=platform)
    found = {
        normal(name): version
        for name, version in re.findall(r"^([\w.-]+)==(\S+)", resolved, re.MULTILINE)
    }
    for need in declared("lab"):
        assert need.specifier.contains(found[normal(need.name)], prereleases=True)


@pytest.mark.parametrize("python", (PYTHONS[0], PYTHONS[-1]))
@pytest.mark.parametrize("platform", PLATFORMS)
def test_locked_versions_have_wheels(python, platform, tmp_path):
    """The whole test set can be installed as locked; nothing has to be compiled."""
    (tmp_path / "locked.in").write_text(
        "".join(f"{name}=={version}\n" for name, version in pins("test", python, platform).items())
    )
    resolved = uv("locked.in", cwd=tmp_path, python=python, platform=platform)
    found = {
        normal(name): version
        for name, version in re.findall(r"^([\w.-]+)==(\S+)", resolved, re.MULTILINE)
    }
    assert found == pins("test", python, platform), (
        "the lock lacks, or has too much, for this platform: make lock"
    )


def test_the_wheel_carries_all_that_a_notebook_needs(tmp_path):
    """Colab installs the wheel and has no other file of the course."""
    command = [
        sys.executable,
        "-m",
        "uv",
        "build",
        "-q",
        "--wheel",
        "--out-dir",
        str(tmp_path),
        str(ROOT),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode and NO_INDEX.search(done.stderr):
        pytest.skip("no package index can be reached from here")
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    carried = set(zipfile.ZipFile(wheel).namelist())
    listed = {
        path.relative_to(ROOT).as_posix() for path in tracked() if ROOT / "helpers" in path.parents
    }
    assert {"helpers/__init__.py", "helpers/models.toml"} <= listed <= carried
    assert not [
        name for name in carried if name.split("/")[0] in ("authoring", "tests", "notebooks")
    ]


# ---- conda and Binder --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def conda():
    return yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))


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
    # repo2docker reads the version with this pattern and falls back to Python 3.10 where it does
    # not match.
    version = re.match(r"python\s*=+\s*([\d.]*)", conda["dependencies"][0])[1]
    assert version in PYTHONS and SpecifierSet(PROJECT["requires-python"]).contains(version)


def dockerfile_of(folder: Path) -> tuple[str, str]:
    """(Dockerfile, what was said) as Binder would build the image of a folder; needs no Docker."""
    if importlib.util.find_spec("repo2docker") is None or os.name == "nt":
        pytest.skip("repo2docker runs on Linux and macOS only")
    command = [sys.executable, "-m", "repo2docker", "--no-build", "--debug", "."]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def dockerfile():
    return dockerfile_of(ROOT)


def python_in(dockerfile: tuple[str, str]) -> str:
    """The Python that an image would have."""
    return re.search(r"Building conda environment for python=(\S+)", dockerfile[1])[1]


def steps_with(dockerfile: tuple[str, str], word: str) -> list[str]:
    """The instructions that contain a word, in order, each on one line."""
    whole = re.sub(r"\\\n\s*", "", dockerfile[0])
    return [
        line for line in whole.splitlines() if word in line and not line.lstrip().startswith("#")
    ]


def test_binder_reads_python_and_installs_the_project(dockerfile):
    text, _ = dockerfile
    assert python_in(dockerfile) == "3.12"
    assert "environment.py-3.12" in re.sub(r"-2e", ".", text).replace("-2d", "-")
    assert re.search(r'env update -p \$\{NB_PYTHON_PREFIX\} --file "environment\.yml"', text)
    # The project itself is copied before it is installed, because environment.yml names a local
    # path.
    assert text.index("COPY --chown=0:0 src/ ${REPO_DIR}/") < text.index("env update -p")


def test_binder_runs_no_step_of_ours_but_the_installation(dockerfile):
    """So that what the next tests install is all that Binder installs."""
    assert len(steps_with(dockerfile, "environment.yml")) == 1
    for hook in ("postBuild", "start", "apt.txt", "requirements.txt", "setup.py", "install.R"):
        assert not (ROOT / hook).exists()
    assert not steps_with(dockerfile, "postBuild") and not steps_with(dockerfile, "pip install")


@pytest.mark.parametrize(
    ("line", "python"),
    [
        ("python=3.12", "3.12"),
        ("python==3.13", "3.13"),
        ("python>=3.12", "3.10"),
        ("python 3.12", "3.10"),
    ],
)
def test_binder_reads_only_an_exact_python(line, python, tmp_path):
    """Why environment.yml says `python=3.12`: another spelling is passed over, and the course would
    get a Python it cannot use."""
    (tmp_path / "environment.yml").write_text(f"dependencies:\n  - {line}\n")
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
    (folder / "condaenv.requirements.txt").write_text("\n".join(conda["dependencies"][-1]["pip"]))
    make = [
        sys.executable,
        "-m",
        "uv",
        "venv",
        "-q",
        "--no-python-downloads",
        "--python",
        sys.executable,
        str(venv),
    ]
    install = [
        sys.executable,
        "-m",
        "uv",
        "pip",
        "install",
        "-q",
        "--python",
        str(python),
        "-U",
        "-r",
        "condaenv.requirements.txt",
    ]
    subprocess.run(make, check=True, capture_output=True, timeout=240)
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=1200)
    if done.returncode and NO_INDEX.search(done.stderr):
        done = subprocess.run(
            [*install, "--offline"], cwd=folder, capture_output=True, text=True, timeout=1200
        )
        if done.returncode:
            pytest.skip("no package index can be reached from here")
    assert done.returncode == 0, done.stderr
    return python, folder


def test_what_binder_installs_is_what_pyproject_declares(as_binder_installs):
    python, _ = as_binder_installs
    say = (
        "import importlib.metadata as m, json; print(json.dumps([m.requires('hf-inference-course'),"
        " {d.name: d.version for d in m.distributions()}]))"
    )
    requires, installed = json.loads(
        subprocess.run(
            [python, "-c", say], capture_output=True, text=True, check=True, timeout=240
        ).stdout
    )
    assert {
        as_one_spelling(Requirement(line)) for line in requires if "extra ==" not in line
    } == set(map(as_one_spelling, declared()))
    installed = {normal(name): version for name, version in installed.items()}
    for need in declared("lab"):
        assert need.specifier.contains(installed[normal(need.name)], prereleases=True), need
    assert not {"pytest", "nbval", "playwright", "spacy"} & installed.keys(), (
        "what only maintainers need"
    )
    checked = subprocess.run(
        [sys.executable, "-m", "uv", "pip", "check", "-q", "--python", str(python)],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert checked.returncode == 0, checked.stderr


def test_a_notebook_runs_in_what_binder_installs(as_binder_installs, tmp_path):
    """Only what environment.yml brings: no PYTHONPATH, an empty home, no token."""
    python, folder = as_binder_installs
    kept = {
        name: os.environ[name]
        for name in ("SYSTEMROOT", "TEMP", "TMP", "LANG")
        if name in os.environ
    }
    environment = kept | {
        "HOME": str(tmp_path),
        "USERPROFILE": str(tmp_path),
        "COURSE_PACE": "0",
        "PATH": str(python.parent) + os.pathsep + os.environ["PATH"],
    }
    notebook = folder / "notebooks" / "01_first_call.ipynb"
    done = subprocess.run(
        [python, "-m", "jupyter", "execute", "--inplace", str(notebook)],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    before, after = (
        json.loads(path.read_text(encoding="utf-8"))["cells"]
        for path in (ROOT / "notebooks" / notebook.name, notebook)
    )
    assert sum(map(bool, map(printed, before))) > 15
    assert list(map(printed, after)) == list(map(printed, before))


def printed(cell) -> str:
    """What a cell printed, in however many pieces it came: a busy machine makes more of them."""
    return "".join("".join(output.get("text", "")) for output in cell.get("outputs", []))


# ---- the project, the Makefile and the workflows -----------------------------------------------


def test_supported_pythons_are_the_tested_ones():
    supported = SpecifierSet(PROJECT["requires-python"])
    assert [minor for minor in range(8, 20) if supported.contains(f"3.{minor}.1")] == [
        int(python[2:]) for python in PYTHONS
    ]


def test_the_packages_notebooks_need_are_of_the_versions_the_course_is_about():
    locked = pins("lab", "3.12")
    for name, version in {
        "jupyterlab": "4",
        "huggingface-hub": "2.4",
        "openai": "3.54",
        "numpy": "2",
        "matplotlib": "3.11",
        "ipywidgets": "8",
    }.items():
        assert f"{locked[name]}.".startswith(f"{version}."), f"{name} {locked[name]}"


MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[1].split()


def runs(module):
    """Can it be run by `python -m`?"""
    found = importlib.util.find_spec(module)
    return found and (
        not found.submodule_search_locations or importlib.util.find_spec(f"{module}.__main__")
    )


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
    named = re.findall(
        r"\bmake ([a-z]\w+)",
        re.sub(r"(?m)^[^`]*$", "", "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL))),
    )
    assert set(named) <= set(TARGETS)
    for module in re.findall(r"python -m ((?:helpers|authoring)\.\w+)", text):
        assert runs(module), f"{page} names {module}"


@pytest.mark.skipif(os.name == "nt", reason="make is not part of Windows")
def test_second_make_has_nothing_to_install():
    if not list((ROOT / ".venv").glob(".test-*")):
        pytest.skip("this environment was not made by make")
    planned = subprocess.run(
        ["make", "-n", "test"], cwd=ROOT, capture_output=True, text=True, timeout=240
    ).stdout
    assert "pytest" in planned and "install" not in planned


WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflow_is_well_formed(path):
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["name"] and workflow[True]  # YAML reads the key `on` as true
    assert workflow["permissions"]["contents"] == "read"
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 60 and job["runs-on"]
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step), step
            assert re.fullmatch(r"[\w-]+/[\w/-]+@v\d+", step.get("uses", "a/b@v1"))
            if os.name != "nt" and "run" in step and step.get("shell", "bash") == "bash":
                plain = re.sub(r"\$\{\{.*?\}\}", "x", step["run"])
                assert (
                    subprocess.run(
                        ["bash", "-n"], input=plain, text=True, capture_output=True, timeout=120
                    ).returncode
                    == 0
                ), step


def test_the_workflows_are_there_and_cover_oldest_and_newest():
    made = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in WORKFLOWS}
    assert {"test", "latest", "canary"} <= set(made)
    jobs = made["test"]["jobs"]
    assert jobs["linux"]["runs-on"].startswith("ubuntu") and jobs["linux"]["container"].startswith(
        "python:${{ matrix.python }}"
    )
    assert {system.split("-")[0] for system in jobs["desktop"]["strategy"]["matrix"]["os"]} == {
        "macos",
        "windows",
    }
    for job in jobs.values():
        assert job["strategy"]["matrix"]["python"] == [PYTHONS[0], PYTHONS[-1]]
    assert "schedule" in made["latest"][True] and "schedule" in made["canary"][True]
    assert made["canary"]["permissions"]["issues"] == "write" and "secrets.HF_TOKEN" in (
        ROOT / ".github/workflows/canary.yml"
    ).read_text(encoding="utf-8")


def test_latest_takes_every_dependency_without_its_limits(tmp_path):
    workflow = yaml.safe_load((ROOT / ".github/workflows/latest.yml").read_text(encoding="utf-8"))
    script = next(
        re.search(r"<<'PYTHON'\n(.*?)\nPYTHON", step["run"], re.DOTALL)
        for job in workflow["jobs"].values()
        for step in job["steps"]
        if "PYTHON'" in step.get("run", "")
    )
    done = subprocess.run(
        [sys.executable, "-c", script[1]], cwd=ROOT, capture_output=True, text=True, timeout=240
    )
    assert done.stdout.split() == [requirement.name for requirement in declared(*EXTRAS)]


@pytest.mark.skipif(os.name == "nt", reason="a shell script for Debian")
def test_ci_run_is_a_script_that_ends_with_the_suite():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK) and "make test" in script.read_text(encoding="utf-8")
    assert subprocess.run(["bash", "-n", str(script)], timeout=120).returncode == 0
