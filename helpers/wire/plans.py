"""What a handler answers a request with: data, which the wire carries out."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import httpx2

Piece = tuple[float, bytes]  # seconds since the request was sent, and what arrived then


@dataclass(frozen=True, slots=True)
class Plan:
    """What comes back for one request, and when. Nobody changes it, so it can be played again.

    status, headers : as on the wire.
    chunks : one pair (seconds, bytes) for each piece that arrives.
    headers_at : seconds until status and headers are there.
    breaks : an exception to raise after the last chunk (a dropped connection), or before anything
        when status is 0.
    pace : how fast to play it: 1 as planned, 0 at once, 2 twice as slow.
    taken : called with each pair when the client takes it.
    """

    status: int
    headers: Mapping[str, str]
    chunks: Sequence[Piece]
    headers_at: float = 0.0
    breaks: BaseException | None = None
    pace: float = 1.0
    taken: Callable[[Piece], None] | None = field(default=None, repr=False, compare=False)

    @property
    def is_whole(self) -> bool:
        """True for an answer in one piece, which comes with its headers."""
        return len(self.chunks) == 1 and self.breaks is None

    @property
    def first(self) -> float:
        """When the client hears something."""
        return self.chunks[0][0] if self.is_whole else self.headers_at

    @property
    def seconds(self) -> float:
        """When the last of it is there."""
        return self.chunks[-1][0] if self.chunks else self.headers_at


@dataclass(frozen=True, slots=True)
class Forward:
    """Send `request` on to the network.

    done : called once with what came back, as far as the client has read it: the plan that would
        play it again.
    taken : called with each pair (seconds, bytes) when the client takes it.
    drain : read the answer to its end first, whatever the client does with it later. A recording is
        whole that way.
    direct : not through the client's own proxy and connections, but straight to the address (the
        practice server).
    apart : `with apart():` is held around every wait for the network (a clock stands still in it).
    """

    request: httpx2.Request
    done: Callable[[Plan], None]
    taken: Callable[[Piece], None] | None = None
    drain: bool = False
    direct: bool = False
    apart: Callable[[], AbstractContextManager] = nullcontext


Handler = Callable[[httpx2.Request], Plan | Forward]
