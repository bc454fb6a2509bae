"""Fixtures that more than one test file uses."""

import functools
import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# On a crowded machine an example may take any time; that says nothing about the code.
settings.register_profile("crowded", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("crowded")

# Its assertions say what they compared, as those of test files do.
pytest.register_assert_rewrite("check_cases")


@pytest.fixture(scope="session")
def root() -> Path:
    """The course's folder."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def no_session_is_left():
    """A session that a test began ends with it: its placeholder token and its handler are no other
    test's business."""
    yield
    session = sys.modules.get("helpers.session")
    if session is not None and session._session is not None:
        session._session.stop()
        session._session = None


@pytest.fixture(autouse=True)
def token_to_build_clients_with(request, monkeypatch):
    """What a session lends to the clients of a notebook, for checks that are tried without one."""
    if request.path.name.startswith("test_lesson_"):
        from helpers.tokens import PLACEHOLDER

        monkeypatch.setenv("HF_TOKEN", PLACEHOLDER)


@pytest.fixture(scope="session", autouse=True)
def certificates_are_read_once():
    """Every client reads the system's certificates, which takes longer than all else it does; the
    openai client does so each time it is made."""
    import httpcore2

    read = functools.cache(lambda where, **options: read_anew(**options))
    read_anew, httpcore2.default_ssl_context = (
        httpcore2.default_ssl_context,
        lambda **options: read(
            (os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")), **options
        ),
    )
    yield
    httpcore2.default_ssl_context = read_anew
