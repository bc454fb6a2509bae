"""Live mode over a real socket: real clients, real TLS, the service's own host names, a server on
this machine behind them.

The names are made to lead here by patching the look-up of addresses; a certificate authority made
for the test vouches for them. The server is the course's practice server where its models are at
hand, and a small stand-in always.
"""

import os
import socket

import anyio
import httpx2
import pytest
import standin
import trustme
from huggingface_hub import InferenceClient, model_info
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import _http as hub_http
from ways import HUB, HUB_STREAM, OPENAI, WAYS

from helpers import models
from helpers.session import start
from helpers.tokens import PLACEHOLDER

NAMES = ["huggingface.co", "router.huggingface.co", "api.endpoints.huggingface.cloud"]
TOKEN = "hf_" + "PlantedTokenOfNobody" + "0123456789abcd"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A certificate for the service's names, and the authority that gave it: (keyword arguments for
    uvicorn, CA file)."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    certificate = authority.issue_cert(*NAMES)
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    for place, blob in enumerate(certificate.cert_chain_pems):
        blob.write_to_path(folder / "certificate.pem", append=place > 0)
    authority.cert_pem.write_to_path(folder / "authority.pem")
    files = {"certfile": folder / "certificate.pem", "keyfile": folder / "key.pem"}
    return {f"ssl_{name}": str(path) for name, path in files.items()}, folder / "authority.pem"


def practice_app():
    """The practice server's application; skips where it or its weights can't be had."""
    try:
        from practice_fixtures import weights_or_skip

        from authoring.practice_server.app import create_app
    except ImportError as error:
        pytest.skip(f"the practice server can't be imported: {error}")
    weights_or_skip("smollm2")
    return create_app("smollm2")


@pytest.fixture(scope="module", params=["stand-in", "practice server"])
def service(request, certificates):
    app = standin.create_app() if request.param == "stand-in" else practice_app()
    with standin.serve(app, **certificates[0]) as port:
        yield app, port


@pytest.fixture(autouse=True)
def live(service, certificates, monkeypatch, empty_home):
    """The service's names lead to this machine, its certificate is trusted, and the learner has a
    token."""
    names, port = set(NAMES), service[1]
    look_up, connect = socket.getaddrinfo, anyio.connect_tcp

    def here(host, number, *rest, **more):
        if host in names:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
        assert host in ("127.0.0.1", "localhost", None), f"a look-up of {host} in a test"
        return look_up(host, number, *rest, **more)

    async def connect_here(remote_host, remote_port, **more):  # anyio keeps the port it was given
        return await connect("127.0.0.1", port if remote_host in names else remote_port, **more)

    monkeypatch.setattr(socket, "getaddrinfo", here)
    monkeypatch.setattr(anyio, "connect_tcp", connect_here)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates[1]))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    hub_http.close_session()
    yield
    hub_http.close_session()


def call(way, text="Say hello.", **settings):
    return way.ask(way.client(**settings), text, models.chat, max_tokens=8, seed=7)


def sent(service) -> list[str] | None:
    """The Authorization headers that came; None where the practice server is asked."""
    seen = getattr(service[0].state, "seen", None)
    return seen and [headers.get("authorization") for *_, headers in seen]


def test_the_real_clients_reach_the_service(service):
    session = start("01_first_call", "live")
    for way in WAYS:
        assert call(way)
    assert all((row.mode, row.status) == ("live", 200) for row in session.log)
    assert [row.host for row in session.log] == ["router.huggingface.co"] * 8
    assert all(row.answered_by and row.seconds > 0 for row in session.log)
    assert [len(row.events) >= 2 for row in session.log] == [way.stream for way in WAYS]
    if sent(service):
        assert set(sent(service)) == {f"Bearer {TOKEN}"}
    rows = [row.as_curl() + repr(row) + str(vars(row)) for row in session.log]
    assert TOKEN not in repr(session.log) + session.log._repr_html_() + "".join(rows)
    assert session.log.last.as_curl().count("$HF_TOKEN") == 1


def test_the_hub_is_asked_too():
    session = start("01_first_call", "live")
    assert model_info(models.chat).id == models.chat
    row = session.log.last
    assert (row.host, row.method, row.status) == ("huggingface.co", "GET", 200)


def test_the_certificate_is_checked(monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    start("01_first_call", "live")
    with pytest.raises(httpx2.ConnectError, match="(?i)certificate"):
        call(HUB)


def test_a_client_made_in_replay_never_sends_the_placeholder(service, monkeypatch, tmp_path):
    monkeypatch.delenv("HF_TOKEN")
    session = start("01_first_call", "replay")
    ai, hub = OPENAI.client(), InferenceClient(api_key=os.environ["HF_TOKEN"])
    assert ai.api_key == PLACEHOLDER
    (tmp_path / "token").write_text(TOKEN)  # the learner logs in ...
    session.mode = "live"  # ... and chooses live
    OPENAI.ask(ai, "Say hello.", models.chat)
    HUB.ask(hub, "Say hello.", models.chat)
    if sent(service):
        assert f"Bearer {TOKEN}" in sent(service)
        assert not any(PLACEHOLDER in (one or "") for one in sent(service))
    session.stop()
    assert "HF_TOKEN" not in os.environ


def test_live_and_recorded_is_replayed_the_same(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_RECORD", "1")
    session = start("01_first_call", "live")
    said = [call(way, "Name a colour.") for way in (HUB, HUB_STREAM)]
    session.stop()
    target = tmp_path / "recordings" / "01_first_call.json"
    target.with_suffix(".json.new").replace(target)
    assert TOKEN not in target.read_text() and "authorization" not in target.read_text().lower()
    monkeypatch.delenv("COURSE_RECORD")
    monkeypatch.delenv("HF_TOKEN")
    start("01_first_call")
    assert [call(way, "Name a colour.") for way in (HUB, HUB_STREAM)] == said


def test_a_refusal_by_the_service_is_shown_as_it_is(service):
    session = start("01_first_call", "live")
    of_the_stand_in = hasattr(service[0].state, "seen")
    text, token, status = ("fail", None, 500) if of_the_stand_in else ("hello", "hf_invalid", 401)
    with pytest.raises(
        HfHubHTTPError, match="500 Internal Server Error" if text == "fail" else "401"
    ):
        call(HUB, text, token=token)
    assert [row.status for row in session.log] == [status]
