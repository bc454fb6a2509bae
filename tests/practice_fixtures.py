"""The practice server on a free port of this machine, and real clients that reach it under the
service's host names."""

import atexit
import functools
import socket
import threading
import time

import httpx2
import pytest

TOKEN = "hf_practice_token"


def endpoint_body(name: str, scaling: dict) -> dict:
    """What creates an endpoint, as the control plane wants it in JSON."""
    return {
        "name": name,
        "provider": {"vendor": "aws", "region": "us-east-1"},
        "compute": {
            "accelerator": "cpu",
            "instanceType": "intel-spr",
            "instanceSize": "x1",
            "scaling": scaling,
        },
        "model": {"repository": "Qwen/Qwen3-4B"},
    }


class ToPractice(httpx2.HTTPTransport):
    """Sends every request to the practice server, with the host it was meant for in `Host`."""

    def __init__(self, url: str):
        super().__init__()
        self.to = httpx2.URL(url)
        self.seen: list[httpx2.Request] = []

    def handle_request(self, request):
        self.seen.append(request)
        headers = request.headers.copy()
        headers["host"] = request.url.host
        url = request.url.copy_with(scheme="http", host=self.to.host, port=self.to.port)
        return super().handle_request(
            httpx2.Request(
                request.method,
                url,
                headers=headers,
                stream=request.stream,
                extensions=request.extensions,
            )
        )


class Running:
    """A uvicorn server in a thread. `url` is its address, `app` the application."""

    def __init__(self, app):
        import uvicorn

        self.app = app
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._server = uvicorn.Server(
            uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning")
        )
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + 120
        while not self._server.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise RuntimeError("the practice server did not start")
            time.sleep(0.01)

    def stop(self):
        self._server.should_exit = True
        self._thread.join(10)


def weights_or_skip(*keys: str) -> None:
    """Skip a test, with the reason, where weights can't be had."""
    from authoring.practice_server import weights

    try:
        for key in keys:
            weights.find(weights.REGISTRY[key])
    except weights.WeightsMissing as error:
        pytest.skip(str(error))


@functools.cache
def the_server() -> Running:
    """One for all test files of this process: pytest makes a fixture anew for each file that
    imports it, and loading the models takes seconds."""
    from authoring.practice_server import create_app

    server = Running(create_app("smollm2", speed=600))
    atexit.register(server.stop)
    return server


@pytest.fixture(scope="session")
def practice():
    """The practice server with SmolLM2 over a real socket; its endpoints' minutes take 0.1 s."""
    pytest.importorskip("xllamacpp")
    pytest.importorskip("uvicorn")
    weights_or_skip("smollm2", "bge", "spacy")
    return the_server()


@pytest.fixture
def none_left(practice):
    """No endpoint that a test made outlives it."""
    yield
    endpoints = practice.app.state.practice.endpoints.endpoints
    for owner, name in [key for key in endpoints if key[0] == "practice-user"]:
        del endpoints[owner, name]


@pytest.fixture
def http(practice):
    """A plain client with a good token, straight to 127.0.0.1."""
    with httpx2.Client(
        base_url=practice.url, headers={"authorization": f"Bearer {TOKEN}"}, timeout=300
    ) as client:
        yield client


@pytest.fixture
def as_service(practice, monkeypatch):
    """Let huggingface_hub reach the practice server by the service's names. Gives the transport."""
    import huggingface_hub
    from huggingface_hub import constants
    from huggingface_hub.inference._providers import _common, hf_inference
    from huggingface_hub.utils import _http

    transport = ToPractice(practice.url)
    before = _http._GLOBAL_CLIENT_FACTORY
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    huggingface_hub.set_client_factory(
        lambda: httpx2.Client(transport=transport, follow_redirects=True, timeout=300)
    )
    for cached in (
        _common._fetch_inference_provider_mapping,
        hf_inference._fetch_recommended_models,
        hf_inference._check_supported_task,
    ):
        cached.cache_clear()
    yield transport
    huggingface_hub.set_client_factory(before)
