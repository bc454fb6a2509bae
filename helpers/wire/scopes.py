"""Who answers: what is installed for the whole process, or what stands in front of some code only.

    install(handler)             the session: it answers everybody
    with in_front(handler):      an outage, a check: it answers the code in there, its threads and
        ...                      its tasks, and nobody else
    with carried():              just this: context variables go along into threads
    with watching(note):         just this: note(client) for each async client that is built

What a piece of code is in stands in a context variable. Tasks have a copy of the context in which
they were made anyway; threads get one while a scope is open. Nothing of the standard library's or
httpx2's is replaced while nobody needs it, and scopes may be left in any order.
"""

import contextvars
import functools
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx2

if "_lock" not in globals():  # else this module is being reloaded, and who is in line stays there
    _lock = threading.RLock()
    _installed: list[Callable] = []
    _open: list["_Scope"] = []  # all scopes that anybody is in
    _entered = contextvars.ContextVar("scopes", default=())  # by this code, the innermost last
    sending: tuple = ()  # (class, method's name, ours) of httpx2's transports; the wire says which
    theirs: dict[str, Callable] = {}  # the methods that ours stand for, to call and to put back
    _replaced: set[str] = set()


def install(handler: Callable) -> None:
    """Let `handler` answer for the whole process, clients old and new; the last one installed."""
    with _lock:
        _installed.append(handler)
        _settle()


def remove(handler: Callable) -> None:
    """Take `handler` out again. Unknown handlers are ignored."""
    with _lock:
        if handler in _installed:
            _installed.remove(handler)
        _settle()


def in_front(handler: Callable) -> "_Scope":
    """Inside `with in_front(handler):` it answers the code in there, its threads and its tasks."""
    return _Scope(handler)


def carried(starting: Callable | None = None) -> "_Scope":
    """Inside `with carried():` context variables go along into threads and into a pool's tasks.

    starting(thread, start) : called in place of `start(thread)` when code in there starts a thread;
        of several scopes the innermost first, whose `start` asks the next.
    """
    return _Scope(starting=starting)


def watching(building: Callable) -> "_Scope":
    """Inside `with watching(note):` it is told of httpx2's async clients that are built in there;
    huggingface_hub's and openai's have one each."""
    return _Scope(building=building)


def current() -> Callable | None:
    """What answers the code that asks: its innermost `in_front`, else the last one installed."""
    line = _in_line()
    return line[-1] if line else None


def behind(handler: Callable) -> Callable | None:
    """What would answer without `handler`: one that only adds trouble passes requests on to it."""
    line = _in_line()
    place = line.index(handler) if handler in line else len(line)
    return line[place - 1] if place else None


def _in_line() -> list[Callable]:
    return _installed + [scope.handler for scope in _inside() if scope.handler is not None]


def _inside() -> list["_Scope"]:
    """The scopes that this code is in. A thread that outlives one still has it in its context."""
    return [scope for scope in _entered.get() if scope in _open]


class _Scope:
    """What holds for the code inside a `with`, its threads and its tasks."""

    def __init__(self, handler=None, starting=None, building=None):
        self.handler, self.starting, self.building = handler, starting, building

    def __enter__(self) -> "_Scope":
        with _lock:
            _open.append(self)
            _settle()
        _entered.set((*_entered.get(), self))
        return self

    def __exit__(self, *error) -> None:
        with _lock:
            _open.remove(self)
            _settle()
        _entered.set(tuple(scope for scope in _entered.get() if scope is not self))


def _settle() -> None:
    """Put our methods where somebody needs them now, and theirs back where nobody does any more."""
    watched = any(scope.building for scope in _open)
    for needed, methods in (
        (_installed or _open, sending),
        (_open, _carrying),
        (watched, _building),
    ):
        for owner, name, ours in methods:
            if needed and name not in _replaced:
                theirs[name] = getattr(owner, name)
                setattr(owner, name, ours)
                _replaced.add(name)
            elif not needed and name in _replaced:
                setattr(owner, name, theirs[name])
                _replaced.remove(name)


def _build(client: httpx2.AsyncClient, *args, **kwargs) -> None:
    theirs["__init__"](client, *args, **kwargs)
    for scope in _inside():
        if scope.building is not None:
            scope.building(client)


_building = ((httpx2.AsyncClient, "__init__", _build),)


# ---- into threads ------------------------------------------------------------------------------


def _start(thread: threading.Thread) -> None:
    """threading.Thread.start: in a copy of the starter's context, if the starter is in a scope."""
    scopes = _inside()
    start = _start_in_context if scopes else theirs["start"]
    for scope in scopes:
        if scope.starting is not None:
            start = functools.partial(scope.starting, start=start)
    start(thread)


def _start_in_context(thread: threading.Thread) -> None:
    if getattr(thread, "_context", None) is None:  # nobody gave it one of its own
        thread.run = functools.partial(contextvars.copy_context().run, _run, thread, thread.run)
    theirs["start"](thread)


def _run(thread: threading.Thread, run: Callable) -> None:
    """thread.run. What goes wrong in it is told in the scopes that it is in."""
    try:
        run()
    except BaseException:
        threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), thread)))


def _submit(pool: ThreadPoolExecutor, task: Callable, /, *args, **kwargs):
    """ThreadPoolExecutor.submit: in a copy of this context, whoever started the pool's threads."""
    context = contextvars.copy_context()
    return theirs["submit"](pool, context.run, task, *args, **kwargs)


_carrying = ((threading.Thread, "start", _start), (ThreadPoolExecutor, "submit", _submit))
