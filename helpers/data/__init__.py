"""The texts that several lessons work on, hand-written for this course.

faq        16 questions and answers of a help desk:
           id, topic, question, answer, and `asked`: how a customer asked it, in other words
messages   40 messages to that help desk, with what a person says about each:
           id, text, label (the desk it belongs to), sentiment, entities, and `hard`: why it is
           difficult, or ""
"""

import json
from pathlib import Path

FOLDER = Path(__file__).parent


def load(name: str) -> list[dict]:
    """One of the collections above, in its order. Raises ValueError for a name that is not
    there."""
    path = FOLDER / f"{name}.json"
    if not path.is_file():
        raise ValueError(
            f"there is no data called {name!r}; there are:"
            f" {', '.join(sorted(file.stem for file in FOLDER.glob('*.json')))}"
        )
    return json.loads(path.read_text(encoding="utf-8"))
