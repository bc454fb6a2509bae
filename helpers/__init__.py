"""The map. Notebooks import from here: `from helpers import start, models`.

To be read in this order; each file begins with what it is for:
    session.py      start(): who answers, the banner, the request log of a notebook      lesson 01
    models.py       which model does what, where, at what price, and as of when          lesson 01
    log.py, sse.py  what went over the wire, row by row; and a stream's events           lesson 01
    retry/          which failures deserve another try, and when. Yours to take along    lesson 03
    faults/         the same requests through trouble, in a time of their own            lesson 03
    endpoints.py    what an endpoint of your own costs                                   lesson 08
    plotting.py     figures that say in words what they show                             all lessons
    widgets.py      controls to move, a chat box, the Replay | Practice | Live switch    all lessons

And how it works:
    wire/           where a request leaves Python, and where the course steps in
    replay/         recorded answers: found by what a request means, played in time
    recordings/     those answers, a file for each lesson; `make record` writes them
    data/           questions and messages of a help desk, which several lessons work on
    tokens.py       what an access token looks like, and the one place that lends one
    exercises/      a card for each exercise (card.py), the checks of each lesson (lessons/), and
                    the stand-in for the service that they call (spy.py). Its __init__.py has a map
    browser/        what a browser tab lacks
"""

import contextlib
import importlib.metadata
import sys

if sys.version_info < (3, 11):  # noqa: UP036 (a kernel of an older Python hears why)
    raise ImportError(f"The course needs Python 3.11 to 3.14, and this is {sys.version}.")

CLIENTS = ("huggingface_hub", "openai", "httpx2")


def outdated(modules=sys.modules) -> list[str]:
    """One line for each client library that is loaded in another version than the installed one:
    on Colab, a cell above the course's first may have imported an older one. Imports nothing."""
    found = []
    for name in CLIENTS:
        loaded = getattr(modules.get(name), "__version__", None)
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # loaded from a folder
            if loaded not in (None, installed := importlib.metadata.version(name)):
                found.append(f"{name} {loaded} is loaded, {installed} is installed")
    return found


def refuse_outdated(modules=sys.modules) -> None:
    """Raises ImportError if a client library was upgraded after it had been imported."""
    if found := "; ".join(outdated(modules)):
        cure = "Restart the session (on Colab: Runtime > Restart session; in Jupyter: Kernel >"
        raise ImportError(f"{found}. {cure} Restart Kernel) and run the notebook from the top.")


refuse_outdated()

from helpers import browser  # noqa: E402

browser.install()

from helpers.models import models  # noqa: E402
from helpers.session import start  # noqa: E402

__all__ = ["models", "start"]
