"""Answers: arriving from the service, kept, and handed to everybody who asked the same."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator


class Answer:
    """One answer of the service. Who reads it gets the pieces that are there, and then the others
    as they arrive."""

    def __init__(self):
        self.status: int | None = None  # None until the service has answered
        self.headers: dict[str, str] = {}
        self.pieces: list[bytes] = []
        self.over, self.error = (
            False,
            None,
        )  # an error before the status: nothing came; after it: the answer broke
        self._news = asyncio.Condition()

    @property
    def good(self) -> bool:
        """Whole, and an answer: what may be kept."""
        return self.over and self.error is None and self.status == 200

    @property
    def size(self) -> int:
        return sum(map(len, self.pieces))

    async def head(self, status: int, headers: dict[str, str]) -> None:
        await self._tell(status=status, headers=headers)

    async def add(self, piece: bytes) -> None:
        self.pieces.append(piece)
        await self._tell()

    async def end(self, error: Exception | None = None) -> None:
        await self._tell(over=True, error=error)

    async def _tell(self, **news) -> None:
        async with self._news:
            vars(self).update(news)
            self._news.notify_all()

    async def begun(self) -> None:
        """Wait for the status. Raises what went wrong if none came."""
        async with self._news:
            await self._news.wait_for(lambda: self.status is not None or self.over)
        if self.status is None:
            raise self.error

    async def read(self) -> AsyncIterator[bytes]:
        """The pieces, from the first one on. Raises what broke the answer, after the last piece
        that came."""
        given = 0
        while True:
            async with self._news:
                await self._news.wait_for(lambda had=given: len(self.pieces) > had or self.over)
            while given < len(self.pieces):
                yield self.pieces[given]
                given += 1
            if self.over and given == len(self.pieces):
                if self.error:
                    raise self.error
                return


class Shelf:
    """Answers by request: the first one, the second one, … Who asks the same again gets the next,
    as from the service.

    largest : bytes in all; the requests that nobody asked for longest are forgotten first.
    """

    def __init__(self, largest: int = 256 * 2**20):
        self.largest, self.kept = largest, OrderedDict()

    def find(self, key: str, number: int) -> Answer | None:
        """The `number`-th answer (0 is the first) to this request, also while it is still
        arriving."""
        answers = self.kept.get(key, ())
        if number >= len(answers):
            return None
        self.kept.move_to_end(key)
        return answers[number]

    def put(self, key: str, answer: Answer) -> None:
        self.kept.setdefault(key, []).append(answer)

    def settle(self, key: str, answer: Answer) -> None:
        """Call it when an answer is over: one that is not good is forgotten, and old ones are if
        there are too many."""
        if not answer.good:
            self.kept[key].remove(answer)
        while sum(one.size for answers in self.kept.values() for one in answers) > self.largest:
            oldest = next(iter(self.kept))
            if any(not one.over for one in self.kept[oldest]):
                break  # it settles later
            del self.kept[oldest]


class Hider:
    """Takes a secret out of a stream of bytes, also where it comes in two pieces. Holds back only
    what may be its beginning."""

    def __init__(self, secret: str, instead: str = "$HF_TOKEN"):
        if len(secret) < 8:
            raise ValueError("a secret of less than 8 characters would be found everywhere")
        self.text, self.instead_text = secret, instead
        self.secret, self.instead, self.rest = secret.encode(), instead.encode(), b""

    def in_text(self, text: str) -> str:
        """The same for a text that is whole."""
        return text.replace(self.text, self.instead_text)

    def __call__(self, piece: bytes) -> bytes:
        """The bytes that can go out now. What is held back at the end stays in `rest`."""
        clean = (self.rest + piece).replace(self.secret, self.instead)
        held = next(
            (
                length
                for length in range(min(len(self.secret) - 1, len(clean)), 0, -1)
                if clean.endswith(self.secret[:length])
            ),
            0,
        )
        self.rest = clean[len(clean) - held :]
        return clean[: len(clean) - held]
