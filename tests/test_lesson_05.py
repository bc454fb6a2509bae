"""Exercise 05: the stub fails, the solution passes, each mistake gets the message about it."""

from check_cases import CheckCases
from wrong import exercise, hides

from helpers import models
from helpers.exercises.lessons.lesson_05 import TASKS

EMBED, SEARCH, BATCHES, NEW, QUIZ = TASKS


def embed(client, texts, **parameters):
    return client.feature_extraction(texts, model=models.embedding, **parameters)


EMBED_WRONG = [
    ("client.", "own.", "a client of its own"),
    ("return", "texts.clear()\n    return", "changed `texts`"),
    ("np.linalg.norm(vectors,", "(vectors**2).sum(", "the root of the sum of squares"),
    (", keepdims=True", "", "leaves them as a column"),
    ("vectors / lengths", '(vectors / lengths).astype("float16")', "float16"),
    ("vectors / lengths", "(vectors / lengths).view(np.matrix)", "an old type"),
    (hides("client, texts", "None"), "refused the request with 503"),
    ("vectors / lengths", "(row / np.linalg.norm(row) for row in vectors)", "a generator"),
    ("return embed(client, texts, normalize=True)", "This server ignored `normalize`"),
    (
        "client.feature_extraction(texts, model=models.embedding)",
        "np.array([embed(client, text) for text in texts])",
        "You sent 5 requests for 5 texts",
    ),
    (", axis=1, keepdims=True", "", "divided everything by one number"),
    ("axis=1, keepdims=True", "axis=0", "divided the columns"),
    (r'return embed(client, "\n".join(texts))', "You sent one string"),
    ("vectors / lengths", "(vectors / lengths).tolist()", "You returned a list"),
    ("vectors / lengths", "(vectors / lengths).astype(float)", "float64"),
    (", model=models.embedding", "", "named no model"),
    ("models.embedding", "models.token_features", "asked another model"),
    """
    # You called `sentence_similarity`
    return client.sentence_similarity(texts[0], texts[1:], model=models.embedding)""",
    (
        "client.feature_extraction(texts, model=models.embedding)",
        'np.ones((len(texts), 8), dtype="float32")',
        "No request was sent",
    ),
    (
        "embedding)",
        'embedding)\n    vectors = np.ones((len(texts), 8), dtype="float32")',
        "not the vectors that came back",
    ),
    ("return ", "", "Did you forget `return`"),
    ("(texts,", "(sorted(texts, reverse=texts == sorted(texts)),", "in their order"),
    ("vectors / lengths", "(vectors / lengths)[::-1]", "in their order"),
    ("vectors / lengths", "(vectors / lengths)[0]", "two axes"),
]
SEARCH_WRONG = [
    ("[:k]", "[:3]", "`k` was 5"),
    ("best =", "vectors -= vectors.mean(axis=0)\n    best =", "changed `vectors`"),
    (
        ("[:k]", ""),
        ("return ", "texts[:] = "),
        ("in best]", "in best]\n    return texts[:k]"),
        "changed `texts`",
    ),
    ("[question]", "question", "with the shape (8,); others answer with (1, 8)"),
    ("[question]", "[question.lower()]", "not the question as your function was given it"),
    (("[texts", "tuple(texts"), ("best]", "best)"), "You returned a tuple"),
    (hides("client, question, texts, vectors, k", "[]"), "refused the request with 503"),
    ("[:k]", "[::-1][:k]", "3 *worst* matches"),
    ("[:k]", "[-k:]", "the best of them first"),
    ("[:k]", "[:k][::-1]", "the best one comes last"),
    ("[:k]", "", "the task asks for the `k` best"),
    ("texts[i]", "int(i)", "hold the texts themselves"),
    ("texts[i]", "(texts[i], 0.5)", "hold the texts themselves"),
    (
        ("[question]", "[question, *texts]"),
        ("[0]", ""),
        ("vectors @ asked", "asked[1:] @ asked[0]"),
        "You sent the texts again",
    ),
    (("[question]", "question"), ("[0]", ""), "with the shape (1, 8); others answer with (8,)"),
    ("[:k]", "[: k - 1]", "You returned 2 texts"),
    ("[texts[i] for i in best]", "texts[:k]", "not the texts with the largest dot product"),
    ("return texts[:k]", "No request was sent"),
    """
    # You called `sentence_similarity`
    scores = client.sentence_similarity(question, texts, model=models.embedding)
    return [texts[i] for i in np.argsort(scores)[::-1][:k]]""",
]
BATCHES_WRONG = [
    (
        ("for i in range(0, len(texts), size):", "while texts:"),
        (
            "texts[i : i + size], model=models.embedding))",
            "texts[:size], model=models.embedding))\n        del texts[:size]",
        ),
        "changed `texts`",
    ),
    (
        (
            "batches = []",
            'count, texts, batches = len(texts), texts + [""] * (-len(texts) % size), []',
        ),
        ("(batches)", "(batches)[:count]"),
        "no filling up",
    ),
    ("np.vstack(batches)", "[row for rows in batches for row in rows]", "a list of rows"),
    (("batches.append", "yield "), ("return np.vstack(batches)", ""), "a generator"),
    ("np.vstack", "np.array", "make no box"),
    ("texts[i : i + size]", r'"\n".join(texts[i : i + size])', "Joined texts become one vector"),
    ("models.embedding", '"thenlper/gte-large"', "another model"),
    (
        ("batches.append", "try:\n            batches.append"),
        ("embedding))", "embedding))\n        except Exception:\n            pass"),
        "refused the request with 503",
    ),
    ("return embed(client, texts)", "may hold 3 at most"),
    (("0, len(texts), size", "len(texts)"), ("i + size", "i + 1"), "requests with one text each"),
    ("len(texts),", "max(size, len(texts) // size * size),", "the last batch may be smaller"),
    ("len(texts), size", "len(texts)", "sent twice"),
    (
        ("len(texts),", "len(texts) + size,"),
        ("batches)", "[rows for rows in batches if len(rows)])"),
        "without any text",
    ),
    ("np.vstack(batches)", "batches", "`np.vstack(arrays)`"),
    ("np.vstack(batches)", "np.concatenate([rows.ravel() for rows in batches])", "strung together"),
    ("np.vstack(batches)", "batches[-1]", "one batch only"),
    ("(batches)", "(batches[::-1])", "not in the order of the texts"),
    """
    # are enough
    parts = np.array_split(np.array(texts, dtype=object), len(texts) // size + 1)
    return np.vstack([embed(client, part.tolist()) for part in parts])""",
]
NEW_WRONG = [
    """
    # gone or changed
    rows = solved(client, texts, known)
    for text in set(known) - set(texts):
        del known[text]
    return rows""",
    (
        ("[text for text in dict.fromkeys(texts) if text not in known]", "set(texts) - set(known)"),
        ("zip(missing", "zip(sorted(missing)"),
        ("extraction(missing", "extraction(list(missing)"),
        "at their places",
    ),
    ("extraction(missing", "extraction([text.lower() for text in missing]", "none of the texts"),
    ("np.array(", "list(", "You returned a list"),
    (hides("client, texts, known", "np.zeros((len(texts), 8))"), "refused the request with 503"),
    ("rows = solved(client, texts, known)\ntexts.clear()\nreturn rows", "changed `texts`"),
    ("return embed(client, texts)", "paid for twice"),
    ("dict.fromkeys(texts)", "texts", "you sent it twice"),
    (
        ("if missing", "for text in missing"),
        ("zip(missing", "zip([text]"),
        ("extraction(missing", "extraction([text]"),
        "fit into one list",
    ),
    ("if missing", "if True", "with an empty list"),
    ("in texts])", "in sorted(texts, key=missing.__contains__)])", "at their places"),
    ("if missing", "known = dict(known)\n    if missing", "will pay for them again"),
    ("in texts])", "in missing])", "Return one for each text"),
    ("np.array([known[text] for text in texts])", "known", "returned the dictionary"),
    """
    # not the row of that text
    new = [text for text in dict.fromkeys(texts) if text not in known]
    rows = solved(client, texts, known)
    known.update(zip(new, [known[text] for text in new[::-1]]))
    return rows""",
]
RIGHT = [
    """
    def embed_texts(client, texts):
        rows = client.feature_extraction(text=texts, model=models.embedding, normalize=False)
        rows = np.asarray(rows, dtype=np.float32)
        return rows / np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]""",
    (EMBED, "vectors / lengths", "np.stack([row / np.sqrt(row @ row) for row in vectors])"),
    """
    def search(client, question, texts, vectors, k):
        scores = vectors @ embed(client, question).ravel()
        return [texts[i] for i in sorted(range(len(texts)), key=lambda i: -scores[i])[:k]]""",
    """
    def search(client, question, texts, vectors, k):
        asked = np.atleast_2d(client.feature_extraction(text=question, model=models.embedding))[0]
        apart = np.linalg.norm(vectors - asked / np.linalg.norm(asked), axis=1)
        return np.array(texts)[np.argsort(apart)[:k]].tolist()""",
    """
    def search(client, question, texts, vectors, k):
        scores = vectors @ np.squeeze(embed(client, question))
        return [texts[i] for i in heapq.nlargest(k, range(len(texts)), key=scores.__getitem__)]""",
    """
    def embed_in_batches(client, texts, size):
        rest, rows = iter(texts), []
        while part := list(itertools.islice(rest, size)):
            rows.extend(embed(client, part, normalize=True))
        return np.array(rows)""",
    """
    def embed_in_batches(client, texts, size):
        parts = np.array_split(np.array(texts, dtype=object), -(-len(texts) // size))
        return np.concatenate([embed(client, part.tolist()) for part in parts])""",
    """
    def embed_new(client, texts, known):
        missing = sorted(set(texts) - known.keys())
        if len(missing) > 0:
            rows = client.feature_extraction(text=missing, model=models.embedding)
            for text, row in zip(missing, rows):
                known[text] = row
        return np.vstack([known[text] for text in texts])""",
    """
    def embed_new(client, texts, known):
        missing = [*{text: None for text in texts if text not in known}]
        if missing:
            rows = embed(client, missing)
            rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
            known |= dict(zip(missing, rows.tolist()))
        return np.array([known[text] for text in texts])""",
]
MISTAKES = (EMBED_WRONG, SEARCH_WRONG, BATCHES_WRONG, NEW_WRONG)


class TestExercise(CheckCases):
    tasks, quiz = TASKS[:4], QUIZ
    wrong, right = exercise("05_embeddings", tasks, MISTAKES, RIGHT, embed=embed)
    draws_right, draws_wrong = 5, 3
