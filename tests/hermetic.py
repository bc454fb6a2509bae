"""The surroundings every test and every notebook under test runs in, the same on every machine.

A pytest plugin rather than a conftest.py, because `pytest notebooks/01_first_call.ipynb` must have it too, and early,
because kernels and pytest-xdist's workers inherit the environment of the process that starts them.
"""

import os
import tempfile
from pathlib import Path

import pytest

# Whoever holds one of these must not spend money, or see other outputs, by running the tests.
FORGET = (
    "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_OIDC", "HF_ENDPOINT",
    "HF_INFERENCE_ENDPOINT", "HF_HUB_OFFLINE", "OPENAI_API_KEY", "OPENAI_BASE_URL", "COURSE_MODE", "MPLBACKEND",
)  # fmt: skip


def surroundings(home: Path) -> dict[str, str]:
    """The environment variables of a test run whose scratch folder is `home`."""
    return {
        "HF_HOME": str(home / "huggingface"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "COURSE_PACE": "0",
        "COURSE_PROGRESS": str(home / "progress.json"),
        "IPYTHONDIR": str(home / "ipython"),
        "PYTHONHASHSEED": "0",
        "PYTHONUTF8": "1",
    }


def pytest_configure(config):
    if "PYTEST_XDIST_WORKER" in os.environ:
        return  # a worker: inherited from the process that started it
    for name in FORGET:
        os.environ.pop(name, None)
    scratch = tempfile.TemporaryDirectory(prefix="course-tests-", ignore_cleanup_errors=True)
    config.add_cleanup(scratch.cleanup)
    os.environ.update(surroundings(Path(scratch.name)))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Each notebook keeps its own progress, so that a solution that ran first changes no exercise's output."""
    if item.path.suffix == ".ipynb":
        progress = Path(os.environ["COURSE_PROGRESS"])
        os.environ["COURSE_PROGRESS"] = str(progress.with_name(f"progress-{item.path.parent.name}-{item.path.stem}.json"))
