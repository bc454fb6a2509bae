"""The control plane of Inference Endpoints, by huggingface_hub's functions, and what it deploys."""

import httpx2
import huggingface_hub as hub
import pytest
from huggingface_hub.errors import (
    BadRequestError,
    HfHubHTTPError,
    InferenceEndpointError,
    InferenceEndpointTimeoutError,
)
from practice_fixtures import TOKEN, as_service, endpoint_body, none_left, practice  # noqa: F401

from authoring.practice_server.catalogue import Catalogue
from authoring.practice_server.endpoints import (
    PENDING,
    STARTING,
    WAKING,
    Clock,
    ControlPlane,
    Endpoint,
    check,
)

VLLM = {"url": "vllm/vllm-openai:v0.23.0", "port": 8000, "healthRoute": "/health"}
SPEC = {"repository": "Qwen/Qwen3-4B", "framework": "pytorch", "task": "text-generation"}
SPEC |= {"accelerator": "gpu", "vendor": "aws", "region": "us-east-1"}
SPEC |= {"instance_type": "nvidia-l4", "instance_size": "x1", "min_replica": 0, "max_replica": 1}
SPEC["custom_image"] = {"vLLM": VLLM}
AT = "us-east-1.aws.endpoints.huggingface.cloud"
CHAT = "/v1/chat/completions"
SST = "distilbert/distilbert-base-uncased-finetuned-sst-2-english"
HI = [{"role": "user", "content": "Hi"}]


pytestmark = pytest.mark.usefixtures("none_left")


def ready(endpoint):
    return endpoint.wait(timeout=600, refresh_every=0.02)


def deployed(name, **change):
    return ready(hub.create_inference_endpoint(name, **SPEC | change))


def call(service, host, token=None, **headers):
    """The answer of an endpoint to a chat, as plain HTTP brings it."""
    headers = {"host": host} | headers | ({"authorization": f"Bearer {token}"} if token else {})
    body = {"messages": HI, "max_tokens": 2}
    return httpx2.post(f"{service.to}{CHAT}", json=body, timeout=600, headers=headers)


def test_a_whole_life(as_service):
    endpoint = hub.create_inference_endpoint("my-endpoint", **SPEC)
    assert endpoint.status == "pending" and endpoint.url is None
    with pytest.raises(InferenceEndpointError, match="not yet deployed"):
        endpoint.client  # noqa: B018
    assert ready(endpoint).status == "running" and endpoint.url == f"https://my-endpoint.{AT}"
    assert endpoint.client.chat_completion(HI, max_tokens=3).choices[0].message.content
    with pytest.raises(HfHubHTTPError, match="404"):  # vLLM answers nothing at its root
        endpoint.client.text_generation("Hi")
    assert endpoint.pause().status == "paused" and endpoint.url is None
    assert endpoint.resume().status == "pending" and ready(endpoint).status == "running"
    assert endpoint.resume().status == "running", "resuming what runs is no error"
    with pytest.raises(BadRequestError, match="already running"):
        endpoint.resume(running_ok=False)
    assert endpoint.update(instance_size="x4").status == "updating"
    assert ready(endpoint).raw["compute"]["instanceSize"] == "x4"
    assert endpoint.scale_to_zero().status == "scaledToZero"
    assert [one.name for one in hub.list_inference_endpoints()] == ["my-endpoint"]
    endpoint.delete()
    with pytest.raises(HfHubHTTPError, match="404"):
        endpoint.fetch()


def test_a_sleeping_endpoint_wakes_when_it_is_called(as_service):
    endpoint = deployed("sleeper")
    client, host = endpoint.client, endpoint.url.removeprefix("https://")
    endpoint.scale_to_zero()
    looked = httpx2.get(f"{as_service.to}/health", headers={"host": host})
    assert looked.status_code == 503, "a look does not wake it"
    assert endpoint.fetch().status == "scaledToZero"
    with pytest.raises(HfHubHTTPError, match="503"):
        client.chat_completion(HI, max_tokens=2)
    woken = "initializing", "running"  # its clock is fast
    assert endpoint.fetch().status in woken and endpoint.url
    ready(endpoint)
    assert client.chat_completion(HI, max_tokens=2).choices
    endpoint.scale_to_zero()
    held = call(as_service, host, TOKEN, **{"x-scale-up-timeout": "600"})
    assert held.status_code == 200, "X-Scale-Up-Timeout holds it until the endpoint is there"


def test_who_may_call(as_service):
    closed, open_ = (deployed(f"door-{kind}", type=kind) for kind in ("authenticated", "public"))
    doors = ((closed, None), (closed, "hf_invalid"), (closed, TOKEN), (open_, None))
    statuses = [call(as_service, door.url[8:], token).status_code for door, token in doors]
    assert statuses == [401, 401, 200, 200]
    closed.pause()
    door = closed if closed.url else open_
    assert call(as_service, door.url[8:], TOKEN).status_code == 200
    paused = call(as_service, f"door-authenticated.{AT}", TOKEN)
    assert paused.status_code == 400 and "Invalid state" in paused.text


def test_other_images_answer_at_the_root(as_service):
    tgi = deployed("tgi", custom_image={"tgi": {"url": "x", "port": 80}})
    assert tgi.client.text_generation("Once upon a time", max_new_tokens=3)
    plain = SPEC | {"repository": SST, "task": "text-classification"}
    plain |= {"accelerator": "cpu", "instance_type": "intel-spr"}
    del plain["custom_image"]
    classifier = ready(hub.create_inference_endpoint("labels", **plain))
    assert classifier.client.text_classification("I like you")[0].label == "POSITIVE"
    with pytest.raises(HfHubHTTPError, match="404"):
        classifier.client.chat_completion(HI)


def test_straight_on_this_machine_an_endpoint_has_a_local_address(practice):
    with httpx2.Client(
        base_url=practice.url, headers={"authorization": f"Bearer {TOKEN}"}, timeout=600
    ) as http:
        made = http.post(
            "/v2/endpoint/practice-user",
            json={"type": "public"} | endpoint_body("local", {"minReplica": 1, "maxReplica": 1}),
        )
        assert made.status_code == 200, made.text
        practice.app.state.practice.endpoints.endpoints["practice-user", "local"].stop("running")
        url = http.get("/v2/endpoint/practice-user/local").json()["status"]["url"]
        assert url == practice.url + "/endpoints/local"
        assert httpx2.get(url + "/health").status_code == 200
        body = {"messages": HI, "max_tokens": 2}
        assert httpx2.post(url + CHAT, json=body, timeout=600).status_code == 200


def test_hardware_and_catalog(as_service):
    hardware = lambda: {row.id: row for row in hub.list_inference_endpoints_hardware()}
    l4 = hardware()["aws-us-east-1-nvidia-l4-x1"]
    assert (l4.price_per_hour, l4.accelerator, l4.gpu_memory_gb) == (0.8, "gpu", 24)
    assert (l4.status, l4.used_accelerators) == ("available", 0)
    one = hub.create_inference_endpoint("one", **SPEC)
    used = lambda: hardware()[l4.id].used_accelerators
    assert used() == 1
    one.scale_to_zero()
    assert used() == 1, "a sleeping endpoint still counts against the quota"
    one.pause()
    assert used() == 0
    api = hub.HfApi()
    assert api.list_inference_catalog(search="gpt-oss")[0].repo_id == "openai/gpt-oss-120b"
    made = api.create_inference_endpoint_from_catalog("openai/gpt-oss-20b", name="shelf")
    assert made.name == "shelf"


@pytest.mark.parametrize(
    "change, named",
    [
        ({"instance_type": "intel-icl", "accelerator": "cpu"}, "deprecated"),
        ({"region": "mars"}, "provider.region"),
        ({"vendor": "nobody"}, "provider.vendor"),
        ({"instance_size": "x99"}, "instanceSize"),
        ({"accelerator": "tpu"}, "accelerator"),
        ({"min_replica": 3}, "minReplica"),
        ({"max_replica": 0}, "maxReplica"),
        ({"scale_to_zero_timeout": 15, "min_replica": 1}, "scaleToZeroTimeout"),
        ({"type": "bogus"}, "type"),
        ({"repository": "nobody/nothing"}, "model.repository"),
    ],
)
def test_a_wrong_configuration_is_named(as_service, change, named):
    with pytest.raises(BadRequestError, match=named):
        hub.create_inference_endpoint("wrong", **SPEC | change)


@pytest.mark.parametrize("name", ["", "Capital", "under_score", "-begin", "x" * 33])
def test_names(as_service, name):
    with pytest.raises(BadRequestError, match="name"):
        hub.create_inference_endpoint(name, **SPEC)


def test_a_name_is_taken_once_and_tokens_are_asked_for(as_service):
    hub.create_inference_endpoint("one", **SPEC)
    with pytest.raises(HfHubHTTPError, match="409(.|\n)*already exists"):
        hub.create_inference_endpoint("one", **SPEC)
    tokens = {"hf_invalid": "401", "hf_no_permission": "403", "hf_no_credits": "402"}
    for token, status in tokens.items():
        with pytest.raises(HfHubHTTPError, match=status):
            hub.create_inference_endpoint("two", namespace="practice-user", token=token, **SPEC)


def test_waiting_gives_up(as_service, practice):
    endpoint = hub.create_inference_endpoint("never", **SPEC)
    endpoint.pause()
    with pytest.raises(InferenceEndpointTimeoutError):
        endpoint.wait(timeout=0, refresh_every=0.01)


def test_states_follow_the_clock():
    now = [0.0]
    clock = Clock(10, real=lambda: now[0])
    plane = ControlPlane(clock, Catalogue())
    scaling = {"minReplica": 0, "maxReplica": 1, "scaleToZeroTimeout": 15}
    spec, model = check({"type": "public"} | endpoint_body("timed", scaling), plane)
    endpoint = Endpoint(spec, model, clock)

    def after(seconds):
        now[0] += seconds / 10  # the clock runs ten times as fast
        return endpoint.state

    assert [after(0), after(PENDING + 1), after(STARTING)] == ["pending", "initializing", "running"]
    assert [after(14 * 60), after(2 * 60)] == ["running", "scaledToZero"]
    endpoint.start(0, WAKING)
    assert [after(1), after(WAKING)] == ["initializing", "running"]
    endpoint.stop("paused")
    assert after(10**6) == "paused", "a paused endpoint stays paused"
