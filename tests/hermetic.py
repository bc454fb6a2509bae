"""Tests and notebooks under test run in the surroundings the notebooks were recorded in: no token,
no waiting, nothing personal.

A pytest plugin rather than a conftest.py, because `pytest notebooks/01_first_call.ipynb` must have
it too, and early, because kernels and pytest-xdist's workers inherit the environment of the process
that starts them.
"""

import os
import sys
import tempfile
from pathlib import Path

import pytest

# jsonschema imports it where it is, for addresses in other alphabets, and it takes a second.
sys.modules.setdefault("rfc3987_syntax", None)
_file = None  # the one whose tests are running
KEEP = ("COURSE_WEIGHTS",)  # where the practice models lie: a place, not a setting

# What takes long begins first, or one worker would end with it while the others have nothing to do.
# The notebooks come next, then the rest. (pytest-xdist would begin with the files that have the
# most tests, and those are not the longest.)
# Browsers, servers with real weights, environments made anew; `make check` leaves them out
SLOW = (
    "tests/test_site_browser.py",
    "tests/browser/test_lessons.py",
    "tests/browser/test_card.py",
    "tests/test_pages.py",
    "tests/test_practice_server_",
    "tests/test_colab.py",
    "tests/test_browser_aside.py",  # this and the next: after the worker above has built the site
    "tests/test_site_",
    "tests/browser/",
    "tests/test_doctor.py",
    "tests/test_tokens.py",
    "tests/test_environment.py",
    "tests/test_workshop.py",
    "tests/test_bench.py",
    "tests/test_checks_meet_nobody.py",
    "tests/test_classroom.py",
    "tests/test_faults_server.py",
    "tests/test_live.py",
)
LONG_FIRST = (*SLOW, "tests/test_retry_clients.py", "notebooks/09", "notebooks/03")


def place(path: str) -> int:
    """When a file's turn comes, among those of others; `path` begins in the course's folder."""
    listed = [i for i, beginning in enumerate(LONG_FIRST) if path.startswith(beginning)]
    return min(listed, default=len(LONG_FIRST) + (not path.endswith(".ipynb")))


def pytest_ignore_collect(collection_path: Path, config):
    """In the quick round what is slow is not even imported: that takes a third of the start."""
    if config.option.markexpr == "not slow" and collection_path.is_relative_to(config.rootpath):
        path = collection_path.relative_to(config.rootpath).as_posix()
        return True if path.startswith(SLOW) else None


@pytest.hookimpl(tryfirst=True)  # before `-m "not slow"` chooses
def pytest_collection_modifyitems(config, items):
    places = {}
    for item in items:
        here = item.path.is_relative_to(config.rootpath)
        path = item.path.relative_to(config.rootpath).as_posix() if here else ""
        places[item] = place(path) if here else 0
        if path.startswith(SLOW):
            item.add_marker(pytest.mark.slow)
    items.sort(key=places.__getitem__)


def pytest_configure(config):
    if "PYTEST_XDIST_WORKER" in os.environ:
        return  # a worker: inherited from the process that started it
    config.option.loadscopereorder = False  # pytest-xdist keeps the order of LONG_FIRST
    from authoring.execute import clean_environment

    scratch = tempfile.TemporaryDirectory(prefix="course-tests-", ignore_cleanup_errors=True)
    config.add_cleanup(scratch.cleanup)
    clean = clean_environment(Path(scratch.name))
    clean |= {name: os.environ[name] for name in KEEP if name in os.environ}
    # Some two hundred Pythons are started: each would compile again whatever it imports.
    clean.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    os.environ.clear()
    os.environ.update(clean)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Each file begins without a token, whatever the one before left behind. Each notebook keeps
    its own progress, so that a solution that ran first changes no exercise's output."""
    global _file
    if item.path != _file:
        from authoring.execute import PERSONAL

        _file = item.path
        for name in PERSONAL:
            os.environ.pop(name, None)
    if item.path.suffix == ".ipynb":
        progress = Path(os.environ["COURSE_PROGRESS"])
        os.environ["COURSE_PROGRESS"] = str(
            progress.with_name(f"progress-{item.path.parent.name}-{item.path.stem}.json")
        )
