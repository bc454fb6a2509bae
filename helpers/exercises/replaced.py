"""Names of modules that mean something else as long as anybody needs it.

    stand_ins = Replaced(lambda: [(time, "sleep", make)])     make(time.sleep) gives ours
    with stand_ins: …                                         the last one out puts it back

Ours is there for the whole process, so it has to ask whose code calls it.
"""

import threading
from collections.abc import Callable, Iterable

_NOTHING = object()


class Replaced:
    """May be entered by several threads at once, and left in any order.

    places : gives (module or object, name, what makes ours of theirs) when the first one enters.
    """

    def __init__(self, places: Callable[[], Iterable[tuple[object, str, Callable]]]):
        self._places, self._lock, self._inside = places, threading.RLock(), 0
        self._kept: list[tuple] = []  # (names of a place, name, what was there, ours)

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                for place, name, make in self._places():
                    self._put(vars(place), name, make(getattr(place, name)))
            self._inside += 1

    def __exit__(self, *_) -> None:
        with self._lock:
            self._inside -= 1
            while self._kept and not self._inside:
                names, name, was, ours = self._kept.pop()
                if names.get(name) is not ours:  # somebody else has changed it since
                    continue
                if was is _NOTHING:
                    del names[name]
                else:
                    names[name] = was

    def _put(self, names: dict, name: str, ours) -> None:
        self._kept.append((names, name, names.get(name, _NOTHING), ours))
        names[name] = ours
