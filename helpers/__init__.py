"""What the notebooks of the course import: `from helpers import start, models`."""

import sys

if sys.version_info < (3, 11):
    raise ImportError(
        "The course needs Python 3.11 to 3.14; this is %d.%d. `make lab` finds a newer one."
        % sys.version_info[:2]
    )

from helpers.loaded import refuse_outdated

refuse_outdated()

from helpers.models import models  # noqa: E402

if sys.platform == "emscripten":  # a browser tab: before anything asks for a lock or a thread
    from helpers import fetched, tab

    tab.install()
    fetched.install()

__all__ = ["models", "start"]


def __getattr__(name):
    """`start` is loaded when it is asked for, so that `python -m helpers.doctor` speaks where nothing is installed yet."""
    if name == "start":
        from helpers.session import start

        return start
    raise AttributeError(f"module 'helpers' has no attribute {name!r}")
