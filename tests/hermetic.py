"""Tests and notebooks under test run in the surroundings the notebooks were recorded in: no token, no waiting, nothing personal.

A pytest plugin rather than a conftest.py, because `pytest notebooks/01_first_call.ipynb` must have it too, and early,
because kernels and pytest-xdist's workers inherit the environment of the process that starts them.
"""

import os
import tempfile
from pathlib import Path

import pytest

_file = None  # the one whose tests are running
KEEP = ("COURSE_WEIGHTS",)  # where the practice models lie: a place, not a setting


def pytest_configure(config):
    if "PYTEST_XDIST_WORKER" in os.environ:
        return  # a worker: inherited from the process that started it
    from authoring.execute import clean_environment

    scratch = tempfile.TemporaryDirectory(prefix="course-tests-", ignore_cleanup_errors=True)
    config.add_cleanup(scratch.cleanup)
    clean = clean_environment(Path(scratch.name))
    clean |= {name: os.environ[name] for name in KEEP if name in os.environ}
    os.environ.clear()
    os.environ.update(clean)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Each file begins without a token, whatever the one before left behind. Each notebook keeps its own progress, so that
    a solution that ran first changes no exercise's output."""
    global _file
    if item.path != _file:
        from authoring.execute import PERSONAL

        _file = item.path
        for name in PERSONAL:
            os.environ.pop(name, None)
    if item.path.suffix == ".ipynb":
        progress = Path(os.environ["COURSE_PROGRESS"])
        os.environ["COURSE_PROGRESS"] = str(progress.with_name(f"progress-{item.path.parent.name}-{item.path.stem}.json"))
