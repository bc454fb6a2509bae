"""Fixtures that more than one test file uses."""

import sys
from pathlib import Path

import pytest

pytest.register_assert_rewrite("check_cases")           # its assertions say what they compared, as those of test files do


@pytest.fixture(scope="session")
def root() -> Path:
    """The course's folder."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def no_session_is_left():
    """A session that a test began ends with it: its placeholder token and its handler are no other test's business."""
    yield
    session = sys.modules.get("helpers.session")
    if session is not None and session._session is not None:
        session._session.stop()
        session._session = None
