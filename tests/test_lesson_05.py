"""Every task of exercise 05: the stub fails, the solution passes, and each mistake gets the message that is about it."""

import heapq
import itertools

import numpy as np
from check_cases import CheckCases
from huggingface_hub import InferenceClient

from helpers import models
from helpers.exercises.lessons.lesson_05 import TASKS

EMBED, SEARCH, BATCHES, NEW, QUIZ = TASKS


def embed(client, texts, **parameters):
    return client.feature_extraction(texts, model=models.embedding, **parameters)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def stub(*arguments):
    raise NotImplementedError("your code here")


# ---- task 1 --------------------------------------------------------------------------------------------------------


def embed_texts(client, texts):
    return unit(embed(client, texts))


def believes_normalize(client, texts):
    return embed(client, texts, normalize=True)


def one_by_one(client, texts):
    return unit(np.array([embed(client, text) for text in texts]))


def one_length_for_all(client, texts):
    rows = embed(client, texts)
    return rows / np.linalg.norm(rows)


def lengths_of_columns(client, texts):
    rows = embed(client, texts)
    return rows / np.linalg.norm(rows, axis=0)


def joined(client, texts):
    return embed(client, "\n".join(texts))


def as_list(client, texts):
    return embed_texts(client, texts).tolist()


def as_doubles(client, texts):
    return embed_texts(client, texts).astype(float)


def no_model(client, texts):
    return unit(client.feature_extraction(texts))


def another_model(client, texts):
    return unit(client.feature_extraction(texts, model=models.token_features))


def compares(client, texts):
    return client.sentence_similarity(texts[0], texts[1:], model=models.embedding)


def made_up(client, texts):
    return unit(np.ones((len(texts), 8), dtype="float32"))


def asks_but_made_up(client, texts):
    embed(client, texts)
    return made_up(client, texts)


def forgets_return(client, texts):
    embed_texts(client, texts)


def sorts(client, texts):
    return unit(embed(client, sorted(texts, reverse=True)))


def turned_round(client, texts):
    return embed_texts(client, texts)[::-1]


def first_only(client, texts):
    return embed_texts(client, texts)[0]


def own_client(client, texts):
    return embed_texts(InferenceClient(provider="hf-inference"), texts)


def empties_the_list(client, texts):
    rows = embed_texts(client, texts)
    texts.clear()
    return rows


def squares(client, texts):
    rows = embed(client, texts)
    return rows / (rows**2).sum(axis=1, keepdims=True)


def lengths_as_a_row(client, texts):
    rows = embed(client, texts)
    return rows / np.linalg.norm(rows, axis=1)


def half_as_long_numbers(client, texts):
    return embed_texts(client, texts).astype("float16")


def as_matrix(client, texts):
    return embed_texts(client, texts).view(np.matrix)  # without np.matrix(), which warns


def hides_refusals(client, texts):
    try:
        return embed_texts(client, texts)
    except Exception:
        return None


def piecewise(client, texts):
    return (row / np.linalg.norm(row) for row in embed(client, texts))


MISTAKES_1 = {
    stub: "still empty",
    own_client: "a client of its own",
    empties_the_list: "changed `texts`",
    squares: "the root of the sum of squares",
    lengths_as_a_row: "leaves them as a column",
    half_as_long_numbers: "float16",
    as_matrix: "an old type",
    hides_refusals: "refused the request with 503",
    piecewise: "a generator",
    believes_normalize: "This server ignored `normalize`",
    one_by_one: "You sent 5 requests for 5 texts",
    one_length_for_all: "divided everything by one number",
    lengths_of_columns: "divided the columns",
    joined: "You sent one string",
    as_list: "You returned a list",
    as_doubles: "float64",
    no_model: "named no model",
    another_model: "asked another model",
    compares: "You called `sentence_similarity`",
    made_up: "No request was sent",
    asks_but_made_up: "not the vectors that came back",
    forgets_return: "Did you forget `return`",
    sorts: "in their order",
    turned_round: "in their order",
    first_only: "two axes",
}


# ---- task 2 --------------------------------------------------------------------------------------------------------


def order(client, question, vectors):
    return np.argsort(-(vectors @ embed(client, [question])[0]))


def search(client, question, texts, vectors, k):
    return [texts[i] for i in order(client, question, vectors)[:k]]


def search_flat(client, question, texts, vectors, k):
    scores = vectors @ embed(client, question).ravel()
    return [texts[i] for i in sorted(range(len(texts)), key=lambda i: -scores[i])[:k]]


def worst_first(client, question, texts, vectors, k):
    return [texts[i] for i in order(client, question, vectors)[::-1][:k]]


def worst_upwards(client, question, texts, vectors, k):
    return [texts[i] for i in order(client, question, vectors)[-k:]]


def best_last(client, question, texts, vectors, k):
    return search(client, question, texts, vectors, k)[::-1]


def all_of_them(client, question, texts, vectors, k):
    return search(client, question, texts, vectors, len(texts))


def numbers(client, question, texts, vectors, k):
    return [int(i) for i in order(client, question, vectors)[:k]]


def pairs(client, question, texts, vectors, k):
    return [(text, 0.5) for text in search(client, question, texts, vectors, k)]


def sends_everything(client, question, texts, vectors, k):
    rows = embed(client, [question, *texts])
    return [texts[i] for i in np.argsort(-(rows[1:] @ rows[0]))[:k]]


def one_shape_only(client, question, texts, vectors, k):
    scores = vectors @ embed(client, question)
    return [texts[i] for i in np.argsort(-scores)[:k]]


def one_too_few(client, question, texts, vectors, k):
    return search(client, question, texts, vectors, k - 1)


def first_three(client, question, texts, vectors, k):
    embed(client, [question])
    return texts[:k]


def without_asking(client, question, texts, vectors, k):
    return texts[:k]


def on_the_server(client, question, texts, vectors, k):
    scores = client.sentence_similarity(question, texts, model=models.embedding)
    return [texts[i] for i in np.argsort(scores)[::-1][:k]]


def always_three(client, question, texts, vectors, k):
    return search(client, question, texts, vectors, 3)


def centres_in_place(client, question, texts, vectors, k):
    vectors -= vectors.mean(axis=0)
    return search(client, question, texts, vectors, k)


def sorts_the_texts(client, question, texts, vectors, k):
    texts[:] = search(client, question, texts, vectors, len(texts))
    return texts[:k]


def first_number(client, question, texts, vectors, k):
    return [texts[i] for i in np.argsort(-(vectors @ embed(client, question)[0]))[:k]]


def in_small_letters(client, question, texts, vectors, k):
    return search(client, question.lower(), texts, vectors, k)


def tuple_of_texts(client, question, texts, vectors, k):
    return tuple(search(client, question, texts, vectors, k))


def nothing_found(client, question, texts, vectors, k):
    try:
        return search(client, question, texts, vectors, k)
    except Exception:
        return []


MISTAKES_2 = {
    stub: "still empty",
    always_three: "`k` was 5",
    centres_in_place: "changed `vectors`",
    sorts_the_texts: "changed `texts`",
    first_number: "with the shape (8,); others answer with (1, 8)",
    in_small_letters: "not the question as your function was given it",
    tuple_of_texts: "You returned a tuple",
    nothing_found: "refused the request with 503",
    worst_first: "3 *worst* matches",
    worst_upwards: "the best of them first",
    best_last: "the best one comes last",
    all_of_them: "the task asks for the `k` best",
    numbers: "hold the texts themselves",
    pairs: "hold the texts themselves",
    sends_everything: "You sent the texts again",
    one_shape_only: "with the shape (1, 8); others answer with (8,)",
    one_too_few: "You returned 2 texts",
    first_three: "not the texts with the largest dot product",
    without_asking: "No request was sent",
    on_the_server: "You called `sentence_similarity`",
}


# ---- task 3 --------------------------------------------------------------------------------------------------------


def embed_in_batches(client, texts, size):
    return np.vstack([embed(client, texts[i : i + size]) for i in range(0, len(texts), size)])


def all_at_once(client, texts, size):
    return embed(client, texts)


def singly(client, texts, size):
    return np.vstack([embed(client, [text]) for text in texts])


def loses_the_rest(client, texts, size):
    return np.vstack(
        [embed(client, texts[i * size : (i + 1) * size]) for i in range(max(1, len(texts) // size))]
    )


def steps_by_one(client, texts, size):
    return np.vstack([embed(client, texts[i : i + size]) for i in range(len(texts))])


def sends_nothing_at_the_end(client, texts, size):
    return np.vstack(
        [
            rows
            for i in range(0, len(texts) + size, size)
            if len(rows := np.atleast_2d(embed(client, texts[i : i + size]))) and rows.shape[1]
        ]
    )


def list_of_arrays(client, texts, size):
    return [embed(client, texts[i : i + size]) for i in range(0, len(texts), size)]


def strung_together(client, texts, size):
    return np.concatenate(
        [embed(client, texts[i : i + size]).ravel() for i in range(0, len(texts), size)]
    )


def last_batch_only(client, texts, size):
    for i in range(0, len(texts), size):
        rows = embed(client, texts[i : i + size])
    return rows


def backwards(client, texts, size):
    return np.vstack([embed(client, texts[i : i + size]) for i in range(0, len(texts), size)][::-1])


def even_batches(client, texts, size):
    return np.vstack(
        [
            embed(client, part.tolist())
            for part in np.array_split(np.array(texts, dtype=object), len(texts) // size + 1)
        ]
    )


def uses_the_list_up(client, texts, size):
    rows = []
    while texts:
        rows.append(embed(client, texts[:size]))
        del texts[:size]
    return np.vstack(rows)


def fills_up(client, texts, size):
    filled = texts + [""] * (-len(texts) % size)
    return embed_in_batches(client, filled, size)[: len(texts)]


def list_of_rows(client, texts, size):
    return [row for i in range(0, len(texts), size) for row in embed(client, texts[i : i + size])]


def one_after_the_other(client, texts, size):
    for i in range(0, len(texts), size):
        yield embed(client, texts[i : i + size])


def array_of_arrays(client, texts, size):
    return np.array([embed(client, texts[i : i + size]) for i in range(0, len(texts), size)])


def joins_each_batch(client, texts, size):
    return np.vstack(
        [embed(client, "\n".join(texts[i : i + size])) for i in range(0, len(texts), size)]
    )


def some_model(client, texts, size):
    return np.vstack(
        [
            client.feature_extraction(texts[i : i + size], model="thenlper/gte-large")
            for i in range(0, len(texts), size)
        ]
    )


def skips_what_fails(client, texts, size):
    rows = []
    for i in range(0, len(texts), size):
        try:
            rows.append(embed(client, texts[i : i + size]))
        except Exception:
            pass
    return np.vstack(rows)


MISTAKES_3 = {
    stub: "still empty",
    uses_the_list_up: "changed `texts`",
    fills_up: "no filling up",
    list_of_rows: "a list of rows",
    one_after_the_other: "a generator",
    array_of_arrays: "make no box",
    joins_each_batch: "Joined texts become one vector",
    some_model: "another model",
    skips_what_fails: "refused the request with 503",
    all_at_once: "may hold 3 at most",
    singly: "requests with one text each",
    loses_the_rest: "the last batch may be smaller",
    steps_by_one: "sent twice",
    sends_nothing_at_the_end: "without any text",
    list_of_arrays: "`np.vstack(arrays)`",
    strung_together: "strung together",
    last_batch_only: "one batch only",
    backwards: "not in the order of the texts",
    even_batches: "are enough",
}


# ---- task 4 --------------------------------------------------------------------------------------------------------


def embed_new(client, texts, known):
    missing = [text for text in dict.fromkeys(texts) if text not in known]
    if missing:
        known.update(zip(missing, embed(client, missing)))
    return np.array([known[text] for text in texts])


def everything_again(client, texts, known):
    return embed(client, texts)


def repeats(client, texts, known):
    missing = [text for text in texts if text not in known]
    if missing:
        known.update(zip(missing, embed(client, missing)))
    return np.array([known[text] for text in texts])


def each_alone(client, texts, known):
    for text in texts:
        if text not in known:
            known[text] = embed(client, [text])[0]
    return np.array([known[text] for text in texts])


def asks_for_nothing(client, texts, known):
    missing = [text for text in dict.fromkeys(texts) if text not in known]
    known.update(zip(missing, embed(client, missing)))
    return np.array([known[text] for text in texts])


def new_ones_last(client, texts, known):
    missing = [text for text in dict.fromkeys(texts) if text not in known]
    rows = list(embed(client, missing)) if missing else []
    known.update(zip(missing, rows))
    return np.array(
        [known[text] for text in texts if text not in missing]
        + [known[text] for text in texts if text in missing]
    )


def forgets_to_keep(client, texts, known):
    return embed_new(client, texts, dict(known))


def only_the_new(client, texts, known):
    missing = [text for text in dict.fromkeys(texts) if text not in known]
    rows = embed(client, missing) if missing else np.empty((0, 8))
    known.update(zip(missing, rows))
    return rows


def the_dictionary(client, texts, known):
    embed_new(client, texts, known)
    return known


def wrong_pairs(client, texts, known):
    missing = sorted({text for text in texts if text not in known})
    if missing:
        rows = embed(client, missing)
        answer = {**known, **dict(zip(missing, rows))}
        known.update(zip(missing, rows[::-1]))
        return np.array([answer[text] for text in texts])
    return np.array([known[text] for text in texts])


def throws_old_ones_away(client, texts, known):
    rows = embed_new(client, texts, known)
    for text in set(known) - set(texts):
        del known[text]
    return rows


def sets_have_no_order(client, texts, known):
    missing = set(texts) - set(known)
    if missing:
        known.update(zip(sorted(missing), embed(client, list(missing))))
    return np.array([known[text] for text in texts])


def tidied(client, texts, known):
    missing = [text for text in dict.fromkeys(texts) if text not in known]
    if missing:
        known.update(zip(missing, embed(client, [text.lower() for text in missing])))
    return np.array([known[text] for text in texts])


def list_in_order(client, texts, known):
    return list(embed_new(client, texts, known))


def zeros_for_failures(client, texts, known):
    try:
        return embed_new(client, texts, known)
    except Exception:
        return np.zeros((len(texts), 8))


def empties_texts(client, texts, known):
    rows = embed_new(client, texts, known)
    texts.clear()
    return rows


MISTAKES_4 = {
    stub: "still empty",
    throws_old_ones_away: "gone or changed",
    sets_have_no_order: "at their places",
    tidied: "none of the texts",
    list_in_order: "You returned a list",
    zeros_for_failures: "refused the request with 503",
    empties_texts: "changed `texts`",
    everything_again: "paid for twice",
    repeats: "you sent it twice",
    each_alone: "fit into one list",
    asks_for_nothing: "with an empty list",
    new_ones_last: "at their places",
    forgets_to_keep: "will pay for them again",
    only_the_new: "Return one for each text",
    the_dictionary: "returned the dictionary",
    wrong_pairs: "not the row of that text",
}


# ---- the same in other styles ---------------------------------------------------------------------------------------


def by_einsum(client, texts):
    rows = np.asarray(
        client.feature_extraction(text=texts, model=models.embedding, normalize=False),
        dtype=np.float32,
    )
    return rows / np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]


def row_by_row(client, texts):
    return np.stack([row / np.sqrt(row @ row) for row in embed(client, texts)])


def by_distance(client, question, texts, vectors, k):
    asked = np.atleast_2d(client.feature_extraction(text=question, model=models.embedding))[0]
    return np.array(texts)[
        np.argsort(np.linalg.norm(vectors - asked / np.linalg.norm(asked), axis=1))[:k]
    ].tolist()


def by_heap(client, question, texts, vectors, k):
    scores = vectors @ np.squeeze(embed(client, question))
    return [texts[i] for i in heapq.nlargest(k, range(len(texts)), key=scores.__getitem__)]


def with_iterator(client, texts, size):
    rest, rows = iter(texts), []
    while part := list(itertools.islice(rest, size)):
        rows.extend(embed(client, part, normalize=True))
    return np.array(rows)


def evenly(client, texts, size):
    parts = np.array_split(np.array(texts, dtype=object), -(-len(texts) // size))
    return np.concatenate([embed(client, part.tolist()) for part in parts])


def with_sets(client, texts, known):
    missing = sorted(set(texts) - known.keys())
    if len(missing) > 0:
        for text, row in zip(
            missing, client.feature_extraction(text=missing, model=models.embedding)
        ):
            known[text] = row
    return np.vstack([known[text] for text in texts])


def keeps_lists(client, texts, known):
    missing = [*{text: None for text in texts if text not in known}]
    if missing:
        known |= dict(zip(missing, unit(embed(client, missing)).tolist()))
    return np.array([known[text] for text in texts])


CASES = [(EMBED, MISTAKES_1), (SEARCH, MISTAKES_2), (BATCHES, MISTAKES_3), (NEW, MISTAKES_4)]
SOLUTIONS = [
    (EMBED, embed_texts),
    (EMBED, by_einsum),
    (EMBED, row_by_row),
    (SEARCH, search),
    (SEARCH, search_flat),
    (SEARCH, by_distance),
    (SEARCH, by_heap),
    (BATCHES, embed_in_batches),
    (BATCHES, with_iterator),
    (BATCHES, evenly),
    (NEW, embed_new),
    (NEW, with_sets),
    (NEW, keeps_lists),
]


class TestExercise(CheckCases):
    tasks, right, quiz = [task for task, _ in CASES], SOLUTIONS, QUIZ
    wrong = [
        (task, mistake, message)
        for task, mistakes in CASES
        for mistake, message in mistakes.items()
    ]
    draws_right, draws_wrong = 5, 3
