"""Checks for exercise 05: embeddings."""

import numpy as np

from helpers.exercises import kit
from helpers.exercises.kit import NotYet, Raised, Spy, answer, describe, expect, spy
from helpers.exercises.service import vector
from helpers.models import models

SAY = kit.read_messages(__file__)
ALL = SAY[""]


def vectors_of(texts: list[str]) -> np.ndarray:
    """The rows that the stand-in has for these texts: float32, each of length 1."""
    return np.array([vector(text) for text in texts], dtype="float32")


def vectors(rows_of=vectors_of):
    """The usual answer: a row for a text, rows for a list. `rows_of` makes a list's rows."""

    def step(service: Spy, entry):
        texts = entry.json["inputs"]
        rows = rows_of(as_list(texts)).tolist()
        return answer(rows[0] if isinstance(texts, str) else rows)(service, entry)

    return step


def stretched(texts: list[str]) -> np.ndarray:
    """The rows from a server that ignores `normalize`: every one has another length."""
    return np.array([[x * (2 + i) for x in vector(text)] for i, text in enumerate(texts)])


def as_list(inputs: str | list[str]) -> list[str]:
    return [inputs] if isinstance(inputs, str) else inputs


def flat(inputs: list) -> list[str]:
    """All texts of the requests, in the order in which they were sent."""
    return [text for each in inputs for text in as_list(each)]


def embeddings(service: Spy) -> list:
    """The `inputs` of each request, in order, after a look at its kind and at who sent it."""
    for entry in service.sent:
        expect("sentence-similarity" not in entry.path, ALL["similarity"])
        embeds = entry.path.endswith("/feature-extraction")
        expect(embeds, ALL["no_embedding"], path=entry.path)
        expect(models.embedding in entry.path, ALL["other_model"], path=entry.path)
    kit.expect_given_client(service)
    return [entry.json.get("inputs") for entry in service.sent]


def run(function, service: Spy, *arguments):
    """(what the function returned, the `inputs` of its requests); another model has its message."""
    try:
        value = kit.call_whole(service, function, kit.new_client("hf-inference"), *arguments)
    except Raised as raised:
        said, asked = str(raised.error), [entry.path for entry in service.lookups]
        expect(not kit.called(raised, "sentence_similarity"), ALL["similarity"])
        expect("/api/tasks" not in asked, ALL["no_model"])
        right = all(models.embedding in path for path in asked)
        expect(right, ALL["other_lookup"], asked=asked[-1:])
        expect("broadcast" not in said, ALL["row_of_lengths"], raised=raised)
        uneven = "inhomogeneous" in said or "concatenation axis" in said
        expect(not uneven, ALL["uneven_batches"], raised=raised)
        raise
    return value, embeddings(service)


def expect_rows(value: object, count: int) -> None:
    """`value` is a two-dimensional array with `count` rows."""
    expect(value is not None, ALL["nothing"])
    expect(not isinstance(value, (list, tuple)), ALL["list"])
    expect(isinstance(value, np.ndarray), ALL["no_array"], kind=type(value).__name__)
    expect(not isinstance(value, np.matrix), ALL["np_matrix"])
    expect(value.ndim == 2, ALL["axes"], value=value)
    rows, columns = value.shape
    expect(rows == count, ALL["rows"], count=count, rows=rows, columns=columns)


def same(rows: np.ndarray, texts: list[str]) -> bool:
    return rows.shape == (len(texts), 8) and np.allclose(rows, vectors_of(texts), atol=1e-4)


# ---- task 1 ----
def check_embed_texts(embed_texts) -> str:
    say = SAY["embed_texts"]
    texts = kit.texts_about(5)
    given = list(texts)
    with spy(*[vectors(stretched)] * 5) as service:
        value, inputs = run(embed_texts, service, given)
    expect(inputs, say["nothing_sent"])
    expect(len(inputs) == 1, say["many_requests"], sent=len(inputs), texts=len(texts))
    expect(not isinstance(inputs[0], str), say["one_string"])
    expect(inputs[0] == texts, say["other_texts"])
    expect_rows(value, len(texts))
    expect(np.isfinite(value).all(), say["not_finite"])
    raw, lengths = stretched(texts), np.linalg.norm(value, axis=1)
    mistakes = {
        "ignored": raw,
        "one_length": raw / np.linalg.norm(raw),
        "columns": raw / np.linalg.norm(raw, axis=0),
        "lengths": value,
    }
    if not np.allclose(lengths, 1, atol=1e-3):
        close = lambda rows: rows.shape == value.shape and np.allclose(value, rows, atol=1e-3)
        key = next(key for key, rows in mistakes.items() if close(rows))
        raise NotYet(say[key].format(lengths=[round(float(length), 2) for length in lengths]))
    expect(value.dtype != np.float16, say["float16"])
    expect(same(value, texts), say["other_rows"])
    expect(value.dtype == np.float32, say["dtype"], value=value)
    kit.expect_unchanged(texts=(texts, given))
    kit.expect_refusal_through(embed_texts, kit.new_client("hf-inference"), given)
    return say["right"]


# ---- task 2 ----
def check_search(search) -> str:
    say = SAY["search"]
    for k, shape, other in ((3, "(8,)", "(1, 8)"), (5, "(1, 8)", "(8,)")):
        texts = kit.texts_about(9)
        rows = vectors_of(texts)
        wish = rows[4] * 1.0 + rows[1] * 0.5 + np.array(vector("noise")) * 0.05
        best_first = [texts[i] for i in np.argsort(-(rows @ wish))]
        question, given, kept = kit.texts_about(1)[0], list(texts), rows.copy()
        as_asked = vectors(lambda texts, wish=wish: wish[np.newaxis])
        with spy(as_asked if shape == "(8,)" else answer([wish.tolist()])) as service:
            try:
                value, inputs = run(search, service, question, given, kept, k)
            except Raised as raised:
                alone = any(isinstance(each, str) for each in embeddings(service))
                expect(not alone, say["shape"], raised=raised, shape=shape, other=other)
                raise
        sent = flat(inputs)
        expect(inputs, say["nothing_sent"])
        expect(not set(sent) & set(texts), say["texts_again"])
        expect(len(sent) == 1, say["not_one"], requests=len(inputs), sent=len(sent))
        expect(sent == [question], say["other_question"])

        best = best_first[:k]
        expect(value is not None, ALL["nothing"])
        value = value.tolist() if isinstance(value, np.ndarray) else value
        expect(isinstance(value, list), say["no_list"], what=describe(value))
        expect(value, "You returned an empty list.")
        expect(all(isinstance(item, str) for item in value), say["no_texts"])
        mistakes = {
            "worst": best_first[::-1][:k],
            "worst_upwards": best_first[-k:],
            "all": best_first,
            "best_last": best[::-1],
        }
        for key, found in mistakes.items():
            expect(value != found, say[key], k=k)
        expect(sorted(value) != sorted(best) or value == best, say["order"], k=k)
        expect(len(value) == k, say["count"], found=len(value), k=k)
        expect(value == best, say["other_texts"], shape=shape)
        kit.expect_unchanged(texts=(texts, given), vectors=(rows, kept))
    kit.expect_refusal_through(search, kit.new_client("hf-inference"), question, given, kept, k)
    return "only the question was sent, the best came first, and both shapes of an answer worked."


# ---- task 3 ----
def check_batches(embed_in_batches) -> str:
    say = SAY["embed_in_batches"]
    for count, size in [(7, 3), (4, 2), (2, 5)]:
        texts = kit.texts_about(count)
        given = list(texts)
        with spy(*[vectors()] * 40) as service:
            value, inputs = run(embed_in_batches, service, given, size)
        here = f"With {count} texts and size={size}"
        sizes = [len(as_list(each)) for each in inputs]
        sent, least = flat(inputs), -(-len(texts) // size)
        expect(inputs, f"{here} no request was sent.")
        expect(0 not in sizes, say["empty_request"], here=here)
        joined = any(isinstance(each, str) and each not in texts for each in inputs)
        expect(not joined, say["joined"], here=here)
        expect(max(sizes) <= size, say["too_large"], here=here, largest=max(sizes), size=size)
        expect(size == 1 or max(sizes) > 1, say["singly"], here=here, sent=len(sizes))
        missing = [text for text in texts if text not in sent]
        expect(not missing, say["missing"], here=here, missing=len(missing))
        expect(set(sent) <= set(texts), say["filled_up"], here=here)
        expect(len(sent) == len(set(sent)), say["overlap"], here=here)
        expect(len(inputs) == least, say["too_many"], here=here, sent=len(inputs), least=least)

        if isinstance(value, list) and value and isinstance(value[0], np.ndarray):
            raise NotYet(say["list_of_rows" if value[0].ndim == 1 else "list_of_arrays"])
        if isinstance(value, np.ndarray):
            expect(value.ndim != 1, say["strung_together"], value=value)
            one_batch = value.ndim == 2 and len(value) != count and len(value) <= size
            expect(not one_batch, say["one_batch"], here=here, rows=len(value) if value.ndim else 0)
        expect_rows(value, count)
        expect(same(value, texts), say["other_rows"], here=here)
        kit.expect_unchanged(texts=(texts, given))
    kit.expect_refusal_through(embed_in_batches, kit.new_client("hf-inference"), given, 2)
    return say["right"]


# ---- task 4 ----
def check_embed_new(embed_new) -> str:
    say = SAY["embed_new"]
    old, new = kit.texts_about(3), kit.texts_about(9)
    texts = [new[0], old[0], *new[1:], old[2], new[0]]
    before, known = (dict(zip(old, vectors_of(old))) for _ in range(2))
    given = list(texts)
    with spy(*[vectors()] * 20) as service:
        value, inputs = run(embed_new, service, given, known)
    sent = flat(inputs)
    expect(sent, say["nothing_sent"], new=len(new))
    expect(not set(sent) & set(old), say["known_again"])
    expect(set(sent) <= set(new), say["other_texts"])
    expect(set(sent) == set(new), "Not all missing texts were sent.")
    expect(len(sent) == len(new), say["repeated"])
    expect(len(inputs) == 1, say["many_requests"], sent=len(inputs))

    expect(value is not None, ALL["nothing"])
    expect(not isinstance(value, dict), say["dictionary"])
    if isinstance(value, np.ndarray) and value.ndim == 2:
        expect(len(value) == len(texts), say["rows"], texts=len(texts), rows=len(value))
    expect_rows(value, len(texts))
    expect(same(value, texts), say["other_order"])

    expect(set(new) <= set(known), say["not_kept"])
    expect(all(same(np.array([known[text]]), [text]) for text in new), say["wrong_pairs"])
    untouched = all(np.array_equal(known.get(text), row) for text, row in before.items())
    expect(untouched, say["old_ones_gone"])
    kit.expect_unchanged(texts=(texts, given))
    kit.expect_refusal_through(embed_new, kit.new_client("hf-inference"), given, {})

    with spy(*[vectors()] * 20) as service:
        value, inputs = run(embed_new, service, list(old), before)
    expect(not inputs, say["empty_request"])
    expect_rows(value, len(old))
    expect(same(value, old), say["other_rows"])
    return "only what was missing was sent, once each, and the next call will find it."


TASKS = kit.read_tasks(__file__, check_embed_texts, check_search, check_batches, check_embed_new)
