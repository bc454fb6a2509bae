"""Names of modules and classes that mean something else as long as anybody needs it.

    replaced = Replaced(lambda: [(time, "sleep", make)])      make(time.sleep) gives ours
    with replaced: …                                          the last one out puts it back

Ours is there for the whole process, so it has to ask whose code calls it.
"""

import threading
from collections.abc import Callable, Iterable

_NOTHING = object()


class Replaced:
    """May be entered by several threads at once, and left in any order.

    places : gives (module, class, object or names, name, what makes ours of theirs) when the first
        one enters.
    """

    def __init__(self, places: Callable[[], Iterable[tuple[object, str, Callable]]]):
        self._places, self._lock, self._inside = places, threading.RLock(), 0
        self._kept: list[tuple] = []  # (place, name, what was there, ours)

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                for place, name, make in self._places():
                    self._put(place, name, make(getattr(place, name)))
            self._inside += 1

    def __exit__(self, *_) -> None:
        with self._lock:
            self._inside -= 1
            while self._kept and not self._inside:
                place, name, was, ours = self._kept.pop()
                if _names(place).get(name) is ours:  # nobody else has changed it since
                    _set(place, name, was)

    def also_in(self, names: dict) -> None:
        """Code that took such a function into its own `names` (`from time import sleep`) finds ours
        there, too."""
        with self._lock:
            ours = {id(was): ours for _, _, was, ours in self._kept}
            for name, value in list(names.items()):
                if id(value) in ours:
                    self._put(names, name, ours[id(value)])

    def _put(self, place, name: str, ours) -> None:
        self._kept.append((place, name, _names(place).get(name, _NOTHING), ours))
        _set(place, name, ours)


def _names(place) -> dict:
    return place if isinstance(place, dict) else vars(place)


def _set(place, name: str, value) -> None:
    if isinstance(place, dict):
        place[name] = value
    elif value is _NOTHING:
        delattr(place, name)
    else:
        setattr(place, name, value)
