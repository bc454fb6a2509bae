"""Checks for exercise 04, task 4: many questions at once, with a limit."""

import inspect
import json
from dataclasses import replace

from helpers import wire
from helpers.exercises import kit
from helpers.exercises.kit import describe, error, expect, reply, spy
from helpers.exercises.lessons.lesson_04_streams import MAX_TOKENS, SAY
from helpers.models import models


class SlowService:
    """Answers in pieces, the first of all the most slowly, and counts how many are under way.

    under_way : one number a request, itself included. said : the answer to each question.
    """

    def __init__(self, questions: list[str]):
        self.questions, self.entries = questions, []
        self.under_way: list[int] = []
        self.said: dict[str, str] = {}

    def question_in(self, entry) -> str | None:
        asked = json.dumps(entry.json)
        return next((question for question in self.questions if question in asked), None)

    def __call__(self, service, entry):
        unread = [not one.plan or len(one.chunks) < len(one.plan.chunks) for one in self.entries]
        self.under_way.append(1 + sum(unread))
        plan = reply()(service, entry)
        body = b"".join(chunk for _, chunk in plan.chunks)
        # the first answer of all takes longer than the others together
        size = -(-len(body) // (2 if self.entries else 20 * len(self.questions)))
        chunks = [(1.0 + i, body[i : i + size]) for i in range(0, len(body), size)]
        self.said[self.question_in(entry)] = service.said[-1]
        self.entries.append(entry)
        return replace(plan, chunks=chunks)


def check_ask_all(ask_all) -> str:
    say = SAY["ask_all"]
    expect(inspect.iscoroutinefunction(ask_all), say["no_async"])
    for count, at_once in ((7, 3), (6, 2), (4, 1)):
        questions = [kit.new_question() for _ in range(count)]
        slow, made = SlowService(questions), []
        with spy(*[slow] * count) as service, wire.watching(made.append):
            got = service.call(ask_all, given := list(questions), at_once)
        expect(given == questions, say["questions_changed"])
        expect(got is not None, say["nothing"])
        for row in range(len(service.sent)):
            question = slow.question_in(service.sent[row]) or questions[0]
            kit.expect_chat_request(service, question, models.chat, MAX_TOKENS, row=row)
        sent = len(service.sent)
        expect(sent, say["no_request"])
        expect(sent == len(questions), say["requests"], count=len(questions), sent=sent)
        expect(isinstance(got, list), say["no_list"], what=describe(got))
        strange = [text for text in got if not isinstance(text, str)]
        expect(not strange, say["no_text"], what=describe(strange[0] if strange else None))
        expect(sorted(got) == sorted(slow.said.values()), say["other_texts"])
        expect(got == [slow.said[question] for question in questions], say["order"])

        # never more under way than allowed, and as many while there are questions left
        most = max(slow.under_way)
        expect(most <= at_once, say["too_many"], most=most, at_once=at_once)
        alone = say["one_by_one" if made else "sync_client"]
        expect(most > 1 or at_once == 1, alone, at_once=at_once)
        expect(most == at_once, say["too_few"], most=most, at_once=at_once)
        in_groups = at_once > 1 and min(slow.under_way[at_once:]) == 1
        expect(not in_groups, say["groups"], at_once=at_once)
        expect(made, say["from_outside"])
        expect(len(made) == 1, say["clients"], made=len(made))
        expect(made[0].is_closed, say["open"])

    made = []
    with spy(reply(), error(503)) as service, wire.watching(made.append):
        questions = [kit.new_question() for _ in range(3)]
        _, raised = kit.attempt(service.call, ask_all, questions, 1)
    expect(raised or len(service.sent) <= 3, say["asked_again"])
    expect(raised, say["hidden_error"])
    expect(all(client.is_closed for client in made), say["open_error"])
    return say["right"]
