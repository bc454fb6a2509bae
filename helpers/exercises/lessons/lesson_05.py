"""Checks for exercise 05: embeddings."""

import random

import numpy as np
from huggingface_hub import InferenceClient

from helpers.exercises.kit import (
    GIVEN,
    NotYet,
    Raised,
    Spy,
    answer,
    call_whole,
    describe,
    expect,
    expect_given_client,
    expect_refusal_through,
    read_tasks,
    spy,
)
from helpers.exercises.spy import vector
from helpers.models import models

SUBJECTS = ["refund", "invoice", "password", "upload", "language", "profile", "backup", "discount"]
RETURN_IT = "Your function returns nothing (None). Did you forget `return`?"
NOT_SIMILARITY = (
    "You called `sentence_similarity`, which sends back similarities and no vectors. Use"
    " `client.feature_extraction(…)`."
)


def texts_about(count: int) -> list[str]:
    """`count` different texts that nobody can know beforehand."""
    return [
        f"A question about my {random.choice(SUBJECTS)}, number {random.randrange(10**6)}."
        for _ in range(count)
    ]


def embeddings(service: Spy) -> list:
    """The `inputs` of each request, in order, after looking at the kind of request and who sent it."""
    for entry in service.sent:
        expect("sentence-similarity" not in entry.path, NOT_SIMILARITY)
        expect(
            entry.path.endswith("/feature-extraction"),
            f"The request went to `{entry.path}`, which is not an embedding. Use"
            " `client.feature_extraction(…)`.",
        )
        expect(
            models.embedding in entry.path,
            f"The request asked another model: `{entry.path}`. Pass `model=models.embedding`;"
            " vectors of two models cannot be compared.",
        )
    expect_given_client(service)
    return [entry.json.get("inputs") for entry in service.sent]


def new_client() -> InferenceClient:
    return InferenceClient(provider="hf-inference", headers=GIVEN)


def long_vectors(service: Spy, entry) -> object:
    """An answer of the usual shape, from a server that ignores `normalize`: every row has another length."""
    texts = entry.json["inputs"]
    rows = [
        [x * (2 + i) for x in vector(text)]
        for i, text in enumerate([texts] if isinstance(texts, str) else texts)
    ]
    return answer(rows[0] if isinstance(texts, str) else rows)(service, entry)


def plain_vectors(service: Spy, entry) -> object:
    """The usual answer: a row for a text, rows for a list."""
    texts = entry.json["inputs"]
    return answer(vector(texts) if isinstance(texts, str) else [vector(text) for text in texts])(
        service, entry
    )


def run(function, service: Spy, *arguments):
    """Call the learner's function; a missing or another model becomes a message about the model."""
    try:
        return call_whole(service, function, new_client(), *arguments)
    except Raised as raised:
        said, asked = str(raised.error), [entry.path for entry in service.lookups]
        expect("sentence-similarity" not in said, NOT_SIMILARITY)
        expect(
            "/api/tasks" not in asked,
            "The request named no model, so the library looked for the one that the Hub recommends"
            " for this task. Pass `model=models.embedding`.",
        )
        expect(
            all(models.embedding in path for path in asked),
            f"The Hub was asked for another model, `{asked[-1:]}`. Pass `model=models.embedding`.",
        )
        expect(
            "broadcast" not in said,
            f"{raised}. The lengths are one row of numbers, and there is one for each row of the"
            " array: `keepdims=True` leaves them as a column.",
        )
        expect(
            "inhomogeneous" not in said and "concatenation axis" not in said,
            f"{raised}. The last batch is smaller than the others, so the arrays make no box."
            " `np.vstack` puts their rows under each other.",
        )
        raise


def expect_unchanged(**given) -> None:
    """What the function was given is what it was: name=(a copy made before, the thing itself)."""
    for name, (before, after) in given.items():
        same = np.array_equal(before, after) if isinstance(before, np.ndarray) else before == after
        expect(
            same,
            f"Your function changed `{name}`, which belongs to the caller, who may still need it."
            " Work on a copy.",
        )


def expect_rows(value: object, count: int) -> None:
    """`value` is a two-dimensional array with `count` rows."""
    expect(value is not None, RETURN_IT)
    expect(
        not isinstance(value, (list, tuple)),
        "You returned a list. The task asks for one NumPy array: `np.vstack(…)` or `np.array(…)`"
        " makes one of rows.",
    )
    expect(
        isinstance(value, np.ndarray),
        f"You returned an object of type {type(value).__name__}; the task asks for a NumPy array.",
    )
    expect(
        not isinstance(value, np.matrix),
        "You returned an `np.matrix`, an old type whose `*` and slices behave otherwise. Return the"
        " plain array.",
    )
    expect(
        value.ndim == 2,
        f"The array has the shape {value.shape}. It should have two axes: one row a text.",
    )
    expect(
        len(value) == count,
        f"There were {count} texts, and you returned {len(value)} rows of {value.shape[1]}"
        " numbers.",
    )


def same(rows: np.ndarray, texts: list[str]) -> bool:
    return rows.shape == (len(texts), 8) and np.allclose(
        rows, [vector(text) for text in texts], atol=1e-4
    )


# ---- task 1 --------------------------------------------------------------------------------------------------------


def check_embed_texts(embed_texts) -> str:
    texts = texts_about(5)
    given = list(texts)
    with spy(*[long_vectors] * 5) as service:
        value = run(embed_texts, service, given)
    inputs = embeddings(service)
    expect(
        inputs,
        "No request was sent. Call `client.feature_extraction(texts, model=models.embedding)`.",
    )
    expect(
        len(inputs) == 1,
        f"You sent {len(inputs)} requests for {len(texts)} texts. `feature_extraction` takes the"
        " whole list in one.",
    )
    expect(
        not isinstance(inputs[0], str),
        "You sent one string. The texts became a single one, and so will the vector: pass the list"
        " itself.",
    )
    expect(
        inputs[0] == texts,
        "The texts in the request are not the ones your function was given, in their order.",
    )
    expect_rows(value, len(texts))
    expect(
        np.isfinite(value).all(),
        "There is a `nan` or `inf` in what you returned. Check what you divide by.",
    )
    lengths = np.linalg.norm(value, axis=1)
    if not np.allclose(lengths, 1, atol=1e-3):
        raw = np.array(
            [[x * (2 + i) for x in vector(text)] for i, text in enumerate(texts)], dtype="float32"
        )
        expect(
            not np.allclose(value, raw, atol=1e-3),
            f"The rows have the lengths {[round(float(x), 2) for x in lengths]}. This server"
            " ignored `normalize`, as many do: divide each row by its length yourself.",
        )
        expect(
            not np.allclose(value, raw / np.linalg.norm(raw), atol=1e-3),
            "You divided everything by one number, the length of the whole array. "
            "Each row has its own: `np.linalg.norm(vectors, axis=1, keepdims=True)`.",
        )
        expect(
            not np.allclose(value, raw / np.linalg.norm(raw, axis=0), atol=1e-3),
            "You divided the columns by their lengths. A text is a row: `axis=1`.",
        )
        raise NotYet(
            f"The rows have the lengths {[round(float(x), 2) for x in lengths]}; each should have"
            " 1. The length is the root of the sum of squares: `np.linalg.norm(…, axis=1,"
            " keepdims=True)`."
        )
    expect(
        value.dtype != np.float16,
        "The array has the type float16. That is enough to keep vectors, but the task asks for"
        " float32.",
    )
    expect(
        same(value, texts),
        "Every row has length 1, but the rows are not the vectors that came back for these texts,"
        " in their order.",
    )
    expect(
        value.dtype == np.float32,
        f"The array has the type {value.dtype}; the task asks for float32, half the memory and"
        " exact enough.",
    )
    expect_unchanged(texts=(texts, given))
    expect_refusal_through(embed_texts, new_client(), given)
    return (
        "one request, one row a text, and the length 1 whatever the server did about `normalize`."
    )


# ---- task 2 --------------------------------------------------------------------------------------------------------


def check_search(search) -> str:
    for nested, k in ((False, 3), (True, 5)):
        texts = texts_about(9)
        rows = np.array([vector(text) for text in texts], dtype="float32")
        wish = rows[4] * 1.0 + rows[1] * 0.5 + np.array(vector("noise")) * 0.05
        order = np.argsort(-(rows @ wish))
        question, given, kept = texts_about(1)[0], list(texts), rows.copy()

        def reply_with_wish(service, entry, wish=wish, nested=nested):
            flat = not nested and isinstance(entry.json["inputs"], str)
            return answer(wish.tolist() if flat else [wish.tolist()])(service, entry)

        shape = "(1, 8)" if nested else "(8,)"
        with spy(reply_with_wish) as service:
            try:
                value = run(search, service, question, given, kept, k)
            except Raised as raised:
                if any(isinstance(each, str) for each in embeddings(service)):
                    raise NotYet(
                        f"{raised} This provider answered a single text with the shape {shape};"
                        f" others answer with {'(8,)' if nested else '(1, 8)'}. Write it so that"
                        " both work: send a list of one and take its first row, or use `.ravel()`."
                    ) from None
                raise
        inputs = embeddings(service)
        expect(
            inputs,
            "No request was sent. The question has to become a vector:"
            " `client.feature_extraction(…)`.",
        )
        sent = [text for each in inputs for text in ([each] if isinstance(each, str) else each)]
        expect(
            not set(sent) & set(texts),
            "You sent the texts again. Their vectors are there already, in `vectors`; only the"
            " question is new.",
        )
        expect(
            len(sent) == 1,
            f"One request with the question was expected; you sent {len(inputs)} with {len(sent)}"
            " texts.",
        )
        expect(
            sent == [question],
            "The text you sent is not the question as your function was given it.",
        )
        expect(value is not None, RETURN_IT)
        value = value.tolist() if isinstance(value, np.ndarray) else value
        expect(
            isinstance(value, list),
            f"You returned {describe(value)}; the task asks for a list of texts.",
        )
        wanted = [texts[i] for i in order]
        expect(
            value and all(isinstance(item, str) for item in value),
            (
                "The list should hold the texts themselves, not their numbers, scores or pairs."
                if value
                else "You returned an empty list."
            ),
        )
        expect(
            value != wanted[::-1][:k],
            f"Those are the {k} *worst* matches. `np.argsort` sorts upwards: use"
            " `np.argsort(-scores)`, or reverse it.",
        )
        expect(
            value != wanted[-k:],
            f"Those are the {k} worst matches, the best of them first. Take the largest scores, not"
            " the smallest.",
        )
        expect(
            value != wanted,
            "You returned all texts, in the right order; the task asks for the `k` best.",
        )
        expect(
            value != wanted[:k][::-1],
            f"The right {k}, but the best one comes last. Turn the order round.",
        )
        expect(
            sorted(value) != sorted(wanted[:k]) or value == wanted[:k],
            f"The right {k} texts, but not with the best first.",
        )
        expect(
            len(value) == k,
            f"You returned {len(value)} texts; `k` was {k}. How many there should be is the"
            " caller's choice.",
        )
        expect(
            value == wanted[:k],
            f"For a provider that answers with the shape {shape}, those are not the texts with the"
            " largest dot product `vectors @ question_vector`.",
        )
        expect_unchanged(texts=(texts, given), vectors=(rows, kept))
    expect_refusal_through(search, new_client(), question, given, kept, k)
    return "only the question was sent, the best came first, and both shapes of an answer worked."


# ---- task 3 --------------------------------------------------------------------------------------------------------


def check_batches(embed_in_batches) -> str:
    for count, size in [(7, 3), (4, 2), (2, 5)]:
        texts = texts_about(count)
        given = list(texts)
        with spy(*[plain_vectors] * 40) as service:
            value = run(embed_in_batches, service, given, size)
        inputs = embeddings(service)
        sizes = [1 if isinstance(each, str) else len(each) for each in inputs]
        least = -(-count // size)
        here = f"With {count} texts and size={size}"
        expect(inputs, f"{here} no request was sent.")
        expect(
            0 not in sizes, f"{here} you sent a request without any text. Where does your loop end?"
        )
        expect(
            not any(isinstance(each, str) and each not in texts for each in inputs),
            f"{here} you sent one string that is none of the texts. Joined texts become one vector:"
            " pass slices of the list.",
        )
        expect(
            max(sizes) <= size,
            f"{here} one request held {max(sizes)} texts; a batch may hold {size} at most.",
        )
        expect(
            size == 1 or max(sizes) > 1,
            f"{here} you sent {len(sizes)} requests with one text each. Pass slices of the list:"
            " `texts[i:i + size]`.",
        )
        sent = [text for each in inputs for text in ([each] if isinstance(each, str) else each)]
        missing = [text for text in texts if text not in sent]
        expect(
            not missing,
            f"{here} {len(missing)} texts at the end were never sent: the last batch may be smaller"
            " than the others, but it counts. `range(0, len(texts), size)` reaches it.",
        )
        expect(
            set(sent) <= set(texts),
            f"{here} you sent something that is none of the texts. The last batch may be smaller;"
            " it needs no filling up.",
        )
        expect(
            len(sent) == len(set(sent)),
            f"{here} some texts were sent twice. Step by `size`, not by 1: `range(0, len(texts),"
            " size)`.",
        )
        expect(len(inputs) == least, f"{here} you sent {len(inputs)} requests; {least} are enough.")
        if (
            isinstance(value, list)
            and value
            and isinstance(value[0], np.ndarray)
            and value[0].ndim == 1
        ):
            raise NotYet("You returned a list of rows. Make one array of them: `np.array(rows)`.")
        if isinstance(value, list) and value and isinstance(value[0], np.ndarray):
            raise NotYet(
                "You returned a list of arrays, one a batch. Put them under each other:"
                " `np.vstack(arrays)`."
            )
        if isinstance(value, np.ndarray) and value.ndim == 1:
            raise NotYet(
                f"You returned an array of the shape {value.shape}: the rows were strung together"
                " to one. `np.vstack` keeps one row a text."
            )
        if (
            isinstance(value, np.ndarray)
            and value.ndim == 2
            and len(value) != count
            and len(value) <= size
        ):
            raise NotYet(
                f"{here} you returned {len(value)} rows: those of one batch only. Collect the"
                " arrays of all batches, then `np.vstack` them."
            )
        expect_rows(value, count)
        expect(
            same(value, texts),
            f"{here} the rows are not in the order of the texts, or not the vectors that came"
            " back.",
        )
        expect_unchanged(texts=(texts, given))
    expect_refusal_through(embed_in_batches, new_client(), given, 2)
    return (
        "as few requests as the size allows, the small last batch included, and every row in its"
        " place."
    )


# ---- task 4 --------------------------------------------------------------------------------------------------------


def check_embed_new(embed_new) -> str:
    old, new = texts_about(3), texts_about(9)
    texts = [new[0], old[0], *new[1:], old[2], new[0]]
    known, given = {text: np.array(vector(text), dtype="float32") for text in old}, list(texts)
    with spy(*[plain_vectors] * 20) as service:
        value = run(embed_new, service, given, known)
    inputs = embeddings(service)
    sent = [text for each in inputs for text in ([each] if isinstance(each, str) else each)]
    expect(sent, f"No request was sent, but {len(new)} of the texts are not in `known`.")
    expect(
        not set(sent) & set(old),
        "You sent texts whose vectors are in `known` already: paid for twice. Send only those that"
        " are missing.",
    )
    expect(
        set(sent) <= set(new),
        "You sent something that is none of the texts. Send the missing ones as they stand: a text"
        " in other letters has another vector.",
    )
    expect(set(sent) == set(new), "Not all missing texts were sent.")
    expect(
        len(sent) == len(new),
        "One text stands twice in the list, and you sent it twice. `dict.fromkeys(texts)` keeps"
        " each once, in order.",
    )
    expect(
        len(inputs) == 1, f"You sent {len(inputs)} requests; the missing texts fit into one list."
    )
    expect(value is not None, RETURN_IT)
    if isinstance(value, dict):
        raise NotYet(
            "You returned the dictionary. The task asks for an array with a row for each of"
            " `texts`, in that order: `np.array([known[text] for text in texts])`."
        )
    if isinstance(value, np.ndarray) and value.ndim == 2 and len(value) != len(texts):
        raise NotYet(
            f"There were {len(texts)} texts and you returned {len(value)} rows. Return one for each"
            " text, the known ones and the repeated one too."
        )
    expect_rows(value, len(texts))
    expect(
        same(value, texts),
        "The rows do not belong to the texts at their places. Build the result at the end, in the"
        " order of `texts`: `[known[text] for text in texts]`.",
    )
    expect(
        set(new) <= set(known),
        "The new vectors are not in `known` afterwards, so the next call will pay for them again."
        " Put them in: `known[text] = row`.",
    )
    expect(
        all(
            np.shape(known[text]) == (8,) and np.allclose(known[text], vector(text), atol=1e-4)
            for text in new
        ),
        "What you put into `known` is not the row of that text: `known.update(zip(missing, rows))`"
        " pairs them up.",
    )
    expect(
        all(
            text in known and np.array_equal(known[text], np.array(vector(text), dtype="float32"))
            for text in old
        ),
        "Vectors that were in `known` before are gone or changed. They were paid for, and a later"
        " call may need them: only add to it.",
    )
    expect_unchanged(texts=(texts, given))
    expect_refusal_through(embed_new, new_client(), given, {})
    with spy(*[plain_vectors] * 20) as service:
        value = run(
            embed_new,
            service,
            list(old),
            {text: np.array(vector(text), dtype="float32") for text in old},
        )
    expect(
        not service.sent.entries,
        "With nothing missing you still sent a request, with an empty list. Ask first whether there"
        " is anything to send.",
    )
    expect_rows(value, len(old))
    expect(same(value, old), "With nothing missing, the rows are not those of `known`.")
    return "only what was missing was sent, once each, and the next call will find it."


# ---- the quiz ------------------------------------------------------------------------------------------------------


TASKS = read_tasks(__file__, check_embed_texts, check_search, check_batches, check_embed_new)
