"""A silence of five minutes looks like a hang: in a notebook, long waits are shown."""

import math
import sys
import threading
import time

_monotonic = time.monotonic


class Countdown:
    """Says how long a wait still takes. Nothing for short ones, outside of notebooks, and in
    virtual time."""

    def __init__(self, run):
        self.run, self.display = run, None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.display is not None:
            self.display.update({"text/plain": ""}, raw=True)

    def show(self, seconds: float) -> None:
        if self.display is None:
            if not (self.run.speaks and 2.0 < seconds < math.inf and in_notebook()):
                return
            from IPython.display import display

            self.display = display({"text/plain": ""}, raw=True, display_id=True)
        self.display.update({"text/plain": f"waiting for the service: {seconds:.0f} s"}, raw=True)


def in_notebook() -> bool:
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    mine = threading.current_thread() is threading.main_thread()
    return hasattr(shell, "kernel") and mine and time_passes()


def time_passes() -> bool:
    """False where somebody has replaced the clock, and a wait is over at once. A replacement that
    holds for some code only has a function `passes` that tells."""
    passes = getattr(time.monotonic, "passes", None)
    return passes() if passes else time.monotonic is _monotonic
