"""Live mode over a real socket: real clients, real TLS, the service's own host names, a server on
this machine behind them.

The names are made to lead here by patching the look-up of addresses; a certificate authority made
for the test vouches for them. The server is the course's practice server where its models are at
hand, and a small stand-in always.
"""

import asyncio
import os
import socket

import anyio
import httpx2
import openai
import pytest
import standin
import trustme
from huggingface_hub import AsyncInferenceClient, InferenceClient, constants, model_info
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import _http as hub_http

from helpers import models
from helpers import session as sessions
from helpers.session import start
from helpers.tokens import PLACEHOLDER

NAMES = ["huggingface.co", "router.huggingface.co", "api.endpoints.huggingface.cloud"]
ROUTER = "https://router.huggingface.co/v1"
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
    return {
        "ssl_certfile": str(folder / "certificate.pem"),
        "ssl_keyfile": str(folder / "key.pem"),
    }, folder / "authority.pem"


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
def live(service, certificates, monkeypatch, tmp_path):
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
    monkeypatch.setattr(sessions, "FOLDER", tmp_path / "recordings")
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "COURSE_RECORD"):
        monkeypatch.delenv(name, raising=False)
    hub_http.close_session()
    yield
    if sessions._session is not None:
        sessions._session.stop()
    sessions._session = None
    hub_http.close_session()


def ask(text="Say hello.", **more):
    return {
        "messages": [{"role": "user", "content": text}],
        "model": models.chat,
        "max_tokens": 8,
    } | more


def authorizations(app):
    return [headers.get("authorization") for *_, headers in getattr(app.state, "seen", [])]


def test_the_real_clients_reach_the_service(service):
    session = start("01_first_call", "live")
    hub, ai = (
        InferenceClient(),
        openai.OpenAI(base_url=ROUTER, api_key=os.environ["HF_TOKEN"], max_retries=0),
    )
    assert hub.chat_completion(**ask()).choices[0].message.content
    assert ai.chat.completions.create(**ask()).choices[0].message.content
    assert len(list(hub.chat_completion(**ask(stream=True)))) >= 2
    assert len(list(ai.chat.completions.create(**ask(stream=True)))) >= 2

    async def both():
        async with AsyncInferenceClient() as hub:
            await hub.chat_completion(**ask())
            assert (
                len([chunk async for chunk in await hub.chat_completion(**ask(stream=True))]) >= 2
            )
        async with openai.AsyncOpenAI(
            base_url=ROUTER, api_key=os.environ["HF_TOKEN"], max_retries=0
        ) as ai:
            await ai.chat.completions.create(**ask())
            assert (
                len([chunk async for chunk in await ai.chat.completions.create(**ask(stream=True))])
                >= 2
            )

    asyncio.run(both())
    assert [(row.mode, row.status, row.host) for row in session.log] == [
        ("live", 200, "router.huggingface.co")
    ] * 8
    assert all(row.answered_by and row.seconds > 0 for row in session.log)
    assert [bool(row.events) for row in session.log] == [
        False,
        False,
        True,
        True,
        False,
        True,
        False,
        True,
    ]
    if hasattr(service[0].state, "seen"):
        assert set(authorizations(service[0])) == {f"Bearer {TOKEN}"}
    everything = (
        repr(session.log)
        + session.log._repr_html_()
        + "".join(row.as_curl() + repr(row) + str(vars(row)) for row in session.log)
    )
    assert TOKEN not in everything and session.log.last.as_curl().count("$HF_TOKEN") == 1


def test_the_hub_is_asked_too():
    session = start("01_first_call", "live")
    assert model_info(models.chat).id == models.chat
    assert (session.log.last.host, session.log.last.method, session.log.last.status) == (
        "huggingface.co",
        "GET",
        200,
    )


def test_the_certificate_is_checked(monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    start("01_first_call", "live")
    with pytest.raises(httpx2.ConnectError, match="(?i)certificate"):
        InferenceClient().chat_completion(**ask())


def test_a_client_made_in_replay_never_sends_the_placeholder(service, monkeypatch, tmp_path):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    session = start("01_first_call", "replay")
    ai = openai.OpenAI(base_url=ROUTER, api_key=os.environ["HF_TOKEN"], max_retries=0)
    hub = InferenceClient(api_key=os.environ["HF_TOKEN"])
    assert ai.api_key == PLACEHOLDER
    (tmp_path / "token").write_text(TOKEN)  # the learner logs in ...
    session.mode = "live"  # ... and chooses live
    ai.chat.completions.create(**ask())
    hub.chat_completion(**ask())
    if hasattr(service[0].state, "seen"):
        assert f"Bearer {TOKEN}" in authorizations(service[0])
        assert not any(PLACEHOLDER in (sent or "") for sent in authorizations(service[0]))
    session.stop()
    assert "HF_TOKEN" not in os.environ


def test_live_and_recorded_is_replayed_the_same(monkeypatch, tmp_path, service):
    monkeypatch.setenv("COURSE_RECORD", "1")
    session = start("01_first_call", "live")
    client = InferenceClient()
    whole = client.chat_completion(**ask("Name a colour.", seed=7)).choices[0].message.content
    stream = [
        chunk.choices[0].delta.content
        for chunk in client.chat_completion(**ask("Name a colour.", seed=7, stream=True))
        if chunk.choices
    ]
    session.stop()
    target = tmp_path / "recordings" / "01_first_call.json"
    target.with_suffix(".json.new").replace(target)
    assert TOKEN not in target.read_text() and "authorization" not in target.read_text().lower()
    monkeypatch.delenv("COURSE_RECORD")
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setenv("COURSE_PACE", "0")
    start("01_first_call")
    client = InferenceClient()
    assert (
        client.chat_completion(**ask("Name a colour.", seed=7)).choices[0].message.content == whole
    )
    assert [
        chunk.choices[0].delta.content
        for chunk in client.chat_completion(**ask("Name a colour.", seed=7, stream=True))
        if chunk.choices
    ] == stream


def test_a_refusal_by_the_service_is_shown_as_it_is(service):
    session = start("01_first_call", "live")
    if hasattr(service[0].state, "seen"):
        with pytest.raises(HfHubHTTPError, match="500 Internal Server Error"):
            InferenceClient().chat_completion(**ask("fail"))
        assert session.log.last.status == 500
    else:
        with pytest.raises(HfHubHTTPError, match="401"):
            InferenceClient(token="hf_invalid").chat_completion(**ask())
        assert session.log.last.status == 401
    assert len(session.log) == 1
