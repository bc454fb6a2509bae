"""Variables of the environment for the code that a check runs, and for nobody else.

with environment(OPENAI_API_KEY="sk-…") as environ:     None: without this variable
    service.call(connect, token)                        what it wrote stands in `environ`
"""

import contextlib
import contextvars
import os
from collections import ChainMap
from collections.abc import Iterator, MutableMapping

from helpers.wire.replaced import Replaced

_own: contextvars.ContextVar[dict | None] = contextvars.ContextVar("environ", default=None)


class _Environ(ChainMap):
    """Stands in for os.environ: inside `environment` its own copy, everywhere else the real one."""

    def __init__(self, real: MutableMapping):
        self.real = real

    @property
    def maps(self) -> list[MutableMapping]:
        own = _own.get()
        return [self.real if own is None else own]

    def copy(self) -> ChainMap:
        return ChainMap(dict(self))

    def __ror__(self, other):
        return {**other, **self}


_stand_in = Replaced(lambda: [(os, "environ", _Environ)])


@contextlib.contextmanager
def environment(**changes: str | None) -> Iterator[dict[str, str]]:
    """In here, in its threads and its tasks, os.environ is this copy with the changes."""
    changed = {**os.environ, **changes}
    own = {name: value for name, value in changed.items() if value is not None}
    with _stand_in:
        before = _own.set(own)
        try:
            yield own
        finally:
            _own.reset(before)
