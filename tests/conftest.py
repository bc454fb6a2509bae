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
pytest.register_assert_rewrite("check_cases", "standin", "site_fixtures")


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
    if request.path.name.startswith(("test_lesson_", "test_exercises", "test_spy", "test_scenes")):
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


@pytest.fixture
def handled():
    """`handled(handler)` lets it answer on the wire until the test is over."""
    from helpers import wire

    installed = []
    yield lambda handler: (wire.install(handler), installed.append(handler))
    for handler in installed:
        wire.remove(handler)


@pytest.fixture(scope="module")
def stand_in():
    """The stand-in for the service, on a `.port` of this machine, at `.url`."""
    import standin

    app = standin.create_app()
    with standin.serve(app) as app.port:
        app.url = f"http://127.0.0.1:{app.port}"
        yield app


@pytest.fixture
def practice(stand_in, empty_home, monkeypatch):
    """The stand-in as practice server: what it has seen, (method, host, path, headers) each."""
    monkeypatch.setenv("COURSE_PRACTICE_URL", stand_in.url)
    stand_in.state.seen.clear()
    return stand_in.state.seen


@pytest.fixture
def shown(monkeypatch):
    """What is put on the screen in a notebook: [(widget, its text), …]."""
    found = []
    monkeypatch.setattr("helpers.widgets.show_widget", lambda *shown: found.append(shown))
    return found


@pytest.fixture
def empty_home(tmp_path, monkeypatch):
    """No token, no recordings, no mode asked for; the file of a login would be `token` in here."""
    from huggingface_hub import constants

    from helpers import session

    monkeypatch.setattr(session, "FOLDER", tmp_path / "recordings")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("COURSE_MODE", "COURSE_RECORD", "COURSE_PRACTICE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COURSE_PACE", "0")
    return tmp_path
