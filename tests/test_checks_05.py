"""Every task of exercise 05: the stub fails, the solution passes, and each mistake gets the message that is about it."""

import numpy as np
import pytest

from helpers import models
from helpers.checks.lesson_05 import TASKS

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


MISTAKES_1 = {
    stub: "still empty",
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


MISTAKES_2 = {
    stub: "still empty",
    worst_first: "three *worst* matches",
    worst_upwards: "the best of them first",
    best_last: "the best one comes last",
    all_of_them: "the task asks for the `k` best",
    numbers: "hold the texts themselves",
    pairs: "hold the texts themselves",
    sends_everything: "You sent the texts again",
    one_shape_only: "with the shape (1, 8) instead of (8,)",
    one_too_few: "You returned 2 texts",
    first_three: "not the texts with the largest dot product",
    without_asking: "No request was sent",
    on_the_server: "You called `sentence_similarity`",
}


# ---- task 3 --------------------------------------------------------------------------------------------------------


def embed_in_batches(client, texts, size):
    return np.vstack([embed(client, texts[i:i + size]) for i in range(0, len(texts), size)])


def all_at_once(client, texts, size):
    return embed(client, texts)


def singly(client, texts, size):
    return np.vstack([embed(client, [text]) for text in texts])


def loses_the_rest(client, texts, size):
    return np.vstack([embed(client, texts[i * size:(i + 1) * size]) for i in range(max(1, len(texts) // size))])


def steps_by_one(client, texts, size):
    return np.vstack([embed(client, texts[i:i + size]) for i in range(len(texts))])


def sends_nothing_at_the_end(client, texts, size):
    return np.vstack([rows for i in range(0, len(texts) + size, size) if len(rows := np.atleast_2d(embed(client, texts[i:i + size])))  and rows.shape[1]])


def list_of_arrays(client, texts, size):
    return [embed(client, texts[i:i + size]) for i in range(0, len(texts), size)]


def strung_together(client, texts, size):
    return np.concatenate([embed(client, texts[i:i + size]).ravel() for i in range(0, len(texts), size)])


def last_batch_only(client, texts, size):
    for i in range(0, len(texts), size):
        rows = embed(client, texts[i:i + size])
    return rows


def backwards(client, texts, size):
    return np.vstack([embed(client, texts[i:i + size]) for i in range(0, len(texts), size)][::-1])


def even_batches(client, texts, size):
    return np.vstack([embed(client, part.tolist()) for part in np.array_split(np.array(texts, dtype=object), len(texts) // size + 1)])


MISTAKES_3 = {
    stub: "still empty",
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
    return np.array([known[text] for text in texts if text not in missing] + [known[text] for text in texts if text in missing])


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


MISTAKES_4 = {
    stub: "still empty",
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


@pytest.mark.parametrize("task, solution", [(EMBED, embed_texts), (SEARCH, search), (SEARCH, search_flat), (BATCHES, embed_in_batches), (NEW, embed_new)],
                         ids=lambda value: getattr(value, "__name__", ""))
def test_the_solutions_pass_every_time(task, solution):
    for _ in range(5):
        verdict = task.judge(solution)
        assert verdict.ok, verdict.message


@pytest.mark.parametrize("task, mistake, message", [
    (task, mistake, message) for task, mistakes in [(EMBED, MISTAKES_1), (SEARCH, MISTAKES_2), (BATCHES, MISTAKES_3), (NEW, MISTAKES_4)]
    for mistake, message in mistakes.items()], ids=lambda value: getattr(value, "__name__", ""))
def test_each_mistake_gets_its_own_message(task, mistake, message):
    for _ in range(3):
        verdict = task.judge(mistake)
        assert not verdict.ok
        assert message in verdict.message
        assert "This check itself broke" not in verdict.message


@pytest.mark.parametrize("task", [EMBED, SEARCH, BATCHES, NEW], ids=lambda task: task.name)
def test_hints_go_from_a_nudge_to_nearly_the_code(task):
    assert len(task.hints) == 3 and all(len(hint) > 40 for hint in task.hints)


@pytest.mark.parametrize("question", QUIZ.questions, ids=lambda question: question.text[:30])
def test_every_choice_is_explained(question):
    assert sum(choice.right for choice in question.choices) == 1
    assert len({choice.text for choice in question.choices}) == len(question.choices) == 4
    assert all(len(choice.why) > 40 for choice in question.choices)
    for letter, choice in zip("abcd", question.choices):
        assert question.judge(letter).ok == choice.right


def test_the_right_answers_have_no_pattern():
    letters = [next(letter for letter, choice in zip("abcd", question.choices) if choice.right) for question in QUIZ.questions]
    assert len(letters) >= 4 and len(set(letters)) >= 3
