"""Sentence embeddings by bge-small-en-v1.5, and what is built on them: similarity, nearest label.

One text a call, always: in this quantised model a text's vector moves a little with what else is in
its batch.
"""

import threading

import numpy as np

from . import weights as registry
from .errors import ServiceError

MAX_TOKENS = 512


class Embedder:
    """The model, loaded on first use. 384 dimensions, float32."""

    def __init__(self):
        self.weights = registry.REGISTRY["bge"]
        self._lock, self._session, self._tokenizer = threading.Lock(), None, None

    @property
    def runtime(self) -> str:
        import onnxruntime

        return f"onnxruntime {onnxruntime.__version__}"

    def load(self) -> None:
        """Check and load the weights now. Raises WeightsMissing or WeightsDamaged."""
        with self._lock:
            if self._session is not None:
                return
            import onnxruntime
            from tokenizers import Tokenizer

            model, tokenizer = registry.find(self.weights)
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = (
                1  # the order of additions, and so the last bits, must not vary
            )
            self._tokenizer = Tokenizer.from_file(str(tokenizer))
            self._session = onnxruntime.InferenceSession(
                str(model), options, providers=["CPUExecutionProvider"]
            )

    def tokens(self, text: str, truncate: bool = False, from_left: bool = False) -> list[int]:
        """Token ids of `text`. Raises the 413 of text-embeddings-inference if there are more than
        512."""
        self.load()
        ids = self._tokenizer.encode(text).ids
        if len(ids) <= MAX_TOKENS:
            return ids
        if not truncate:
            raise ServiceError(
                413,
                {
                    "error": (
                        f"Input validation error: `inputs` must have less than {MAX_TOKENS} tokens."
                        f" Given: {len(ids)}"
                    ),
                    "error_type": "Validation",
                },
            )
        inner = ids[1:-1]  # keep the marks of begin and end
        inner = inner[-(MAX_TOKENS - 2) :] if from_left else inner[: MAX_TOKENS - 2]
        return [ids[0], *inner, ids[-1]]

    def hidden(self, ids: list[int]) -> np.ndarray:
        """The last layer: float32 (tokens, 384)."""
        row = np.array([ids], dtype=np.int64)
        with self._lock:
            return self._session.run(
                None,
                {
                    "input_ids": row,
                    "attention_mask": np.ones_like(row),
                    "token_type_ids": np.zeros_like(row),
                },
            )[0][0]

    def embed(
        self, text: str, normalize: bool = True, truncate: bool = False, from_left: bool = False
    ) -> np.ndarray:
        """The vector of a text: float32 (384,), the first token's state as bge wants it; of length
        1 if `normalize`."""
        vector = self.hidden(self.tokens(text, truncate, from_left))[0]
        return vector / np.linalg.norm(vector) if normalize else vector

    def cosines(self, text: str, others: list[str]) -> np.ndarray:
        """Cosine similarity of `text` with each of `others`: float32 (len(others),)."""
        vector = self.embed(text, truncate=True)
        return np.array([vector @ self.embed(other, truncate=True) for other in others])


def plain(array: np.ndarray) -> list:
    """Nested lists whose numbers are the shortest that give the same float32 again; a third of the
    bytes on the wire."""
    if array.ndim > 1:
        return [plain(row) for row in array]
    return [float(str(value)) for value in array]


def softmax(scores: np.ndarray) -> np.ndarray:
    shifted = np.exp(scores - scores.max())
    return shifted / shifted.sum()
