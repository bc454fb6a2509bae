"""The public endpoint that the practice server always has, for the lesson on streams."""

import huggingface_hub as hub
from practice_fixtures import as_service, practice  # noqa: F401

URL = "https://course-tgi.us-east-1.aws.endpoints.huggingface.cloud"


def test_it_streams_one_event_a_token_for_anybody(as_service):
    client = hub.InferenceClient(base_url=URL, token="public")
    events = list(
        client.text_generation(
            "The three primary colours are", max_new_tokens=3, stream=True, details=True
        )
    )
    assert [event.index for event in events] == [1, 2, 3]
    assert events[-1].details.generated_tokens == 3 and not events[0].details


def test_it_is_not_among_the_users_own(as_service):
    assert "course-tgi" not in [endpoint.name for endpoint in hub.list_inference_endpoints()]
