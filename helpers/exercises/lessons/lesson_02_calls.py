"""How the functions of exercise 02 are called: with a client of `openai`."""

from helpers.exercises.kit import GIVEN, Raised, Spy, expect, read_messages

ROUTER = "https://router.huggingface.co/v1"

SAY = read_messages(__file__)
ALL = SAY[""]


def new_client():
    """A client as the exercise uses it. The key is looked up when a request is sent."""
    import openai
    from huggingface_hub import get_token

    return openai.OpenAI(
        base_url=ROUTER, api_key=get_token, max_retries=0, timeout=10, default_headers=GIVEN
    )


def call(service: Spy, function, *arguments):
    """Call the function; where it mixed up the two libraries, say so instead of quoting Python."""
    try:
        return service.call(function, *arguments)
    except Raised as raised:
        error, said = raised.error, str(raised.error)
        attribute = error.name if isinstance(error, AttributeError) else ""
        by_place = "positional argument" in said or "argument(s) but" in said
        by_place = by_place and ("create" in said or "parse" in said)
        by_key = "object is not subscriptable" in said and "Chat" in said
        expect(attribute != "chat_completion", ALL["other_library"])
        expect(not by_place, ALL["by_place"], raised=raised)
        expect("Missing required arguments" not in said, ALL["missing"], raised=raised)
        expect(not by_key, ALL["by_key"], raised=raised)
        raise
