"""What the notebooks import: `from helpers import start, models`. And the map of the course's own
code.

Read in this order, one file after the other; each begins with what it is for.

    session.py      start(): who answers, the banner, the request log of a notebook      lesson 01
    models.py       which model does what, where, at what price, and as of when          lesson 01
    log.py, sse.py  what went over the wire, row by row; and a stream's events           lessons 01, 04
    retry/          which failures deserve another try, and when. Yours to take along    lesson 03
    faults/         the same requests through trouble, in a time of their own            lesson 03
    endpoints.py    what an endpoint of your own costs                                   lesson 08
    plotting.py     figures that say in words what they show                             all lessons
    widgets.py      controls to move, a chat box, the Replay | Practice | Live switch    all lessons

How it works, for whoever wants to know:

    wire/           where a request leaves Python, and where the course steps in
    replay/         recorded answers: found by what a request means, played in time
    tokens.py       what an access token looks like, and the one place that lends one
    exercises/      a card for each exercise, its checks, and the service that stands in for the real one
    browser/        what a browser tab lacks
"""

import importlib.metadata
import sys

if sys.version_info < (3, 11):  # noqa: UP036 (a kernel of an older Python hears why)
    raise ImportError(f"The course needs Python 3.11 to 3.14, and this is {sys.version}.")

CLIENTS = ("huggingface_hub", "openai", "httpx2")


def outdated(modules=None) -> list[str]:
    """One line for each client library that is loaded in another version than the installed one.

    That happens on Colab, where a cell that stands above the course's first may have imported an
    older client.

    modules : what is loaded; default: sys.modules. Nothing is imported.
    """
    modules, found = sys.modules if modules is None else modules, []
    for name in CLIENTS:
        loaded = getattr(modules.get(name), "__version__", None)
        if loaded is None:
            continue
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # loaded from a folder; there is nothing to compare with
        if loaded != installed:
            found.append(f"{name} {loaded} is loaded, {installed} is installed")
    return found


def refuse_outdated(modules=None) -> None:
    """Raises ImportError that asks for a restart if a client library was upgraded after it had been
    imported."""
    if found := outdated(modules):
        raise ImportError(
            "; ".join(found) + ". Restart the session (on Colab: Runtime > Restart session; in"
            " Jupyter: Kernel > Restart Kernel) and run the notebook from the top."
        )


refuse_outdated()

from helpers import browser  # noqa: E402

browser.install()

from helpers.models import models  # noqa: E402
from helpers.session import start  # noqa: E402

__all__ = ["models", "start"]
