"""Checks for exercise 02, task 3: the last turns are sent, the whole history comes back."""

import copy

from helpers.exercises import kit
from helpers.exercises.kit import describe, error, expect, spy, words
from helpers.exercises.lessons.lesson_02_calls import SAY, call, new_client
from helpers.models import models

MAX_TOKENS = 80
TEXTS = SAY["say"]


def check_say(say) -> str:
    for turns, keep in ((4, 2), (3, 1), (1, 5), (3, 0), (0, 2)):
        _expect_turn(say, turns, keep)
    before = _history(2)
    given = copy.deepcopy(before)
    arguments = new_client(), given, words(3), 2
    raised = kit.error_after(error(401), TEXTS["hidden_error"], say, *arguments)
    expect(raised.status == 401, TEXTS["other_error"], kind=raised.kind)
    expect(given == before, TEXTS["changed_by_error"])
    return TEXTS["right"]


def _history(turns: int) -> list[dict]:
    said = [_message("system", f"Answer as {words(2)}.")]
    for _ in range(turns):
        said += [_message("user", words(4)), _message("assistant", words(6))]
    return said


def _message(role: str, content: str) -> dict:
    return {"role": role, "content": content}


def _expect_turn(say, turns: int, keep: int) -> None:
    """One more turn, after a history of so many."""
    before, text = _history(turns), f"And what about {words(2)}?"
    given = copy.deepcopy(before)
    with spy() as service:
        value = call(service, say, new_client(), given, text, keep)
    kit.expect_chat_request(service, text, models.chat, MAX_TOKENS)
    kit.expect_given_client(service)
    expect(len(service.sent) == 1, TEXTS["many_requests"], sent=len(service.sent))
    sent = service.sent.last.json["messages"]
    _expect_messages(sent, before, text, keep)
    expect(value is not None, TEXTS["nothing"])
    two = isinstance(value, tuple) and len(value) == 2
    expect(two, TEXTS["not_two"], what=describe(value))
    said, after = value
    expect(not isinstance(said, list), TEXTS["wrong_order"])
    kit.expect_text(said, service.said[-1], service)
    _expect_history(after, before, [_message("user", text), _message("assistant", said)], len(sent))
    expect(given == before, TEXTS["changed"])


def _expect_messages(sent: list[dict], before: list[dict], text: str, keep: int) -> None:
    """The instructions, the last `keep` turns of `before` and the question were sent."""
    first, turns = before[0], before[1:]
    kept = turns[max(0, len(turns) - 2 * keep) :]
    right = [first, *kept, _message("user", text)]
    if [_message(one.get("role"), one.get("content")) for one in sent] == right:
        return
    contents = [one.get("content") for one in sent]
    whole = len(sent) == len(before) + 1 != len(right)
    fields = {"keep": keep, "before": len(before), "right": len(right), "kept": len(kept)}
    fields |= {"sent": len(sent), "roles": ", ".join(str(one.get("role")) for one in sent)}
    for holds, key in (
        (first["content"] in contents, "no_instructions"),
        (contents[-1] == text, "not_last"),
        (contents.count(text) == 1, "question_twice"),
        (contents.count(first["content"]) == 1, "instructions_twice"),
        (not whole or keep, "minus_zero"),
        (not whole, "whole_history"),
        (len(sent) != keep + 2, "kept_messages"),
        (not kept or len(sent) > 2, "no_turns"),
        (False, "other_messages"),
    ):
        expect(holds, TEXTS[key], **fields)


def _expect_history(after: object, before: list[dict], turn: list[dict], sent: int) -> None:
    """What came back is the history before with the new turn; `sent` messages had been sent."""
    expect(isinstance(after, list), TEXTS["no_list"], what=describe(after))
    right = [*before, *turn]
    if after == right:
        return
    odd = [type(one).__name__ for one in after if not isinstance(one, dict)]
    expect(not odd, TEXTS["no_dictionary"], kind=odd and odd[0])
    last = after[-1] if after else {}
    more = sorted(str(name) for name in last if name not in ("role", "content"))
    for holds, key in (
        (after != right[:-1], "no_answer"),
        (after != before, "old_history"),
        (len(after) != sent + 1 or len(after) == len(right), "short_history"),
        (after[: len(before)] == before, "other_past"),
        (last.get("role") == "assistant", "other_role"),
        (not more, "more_fields"),
        (False, "other_history"),
    ):
        expect(holds, TEXTS[key], role=last.get("role"), more=", ".join(more))
