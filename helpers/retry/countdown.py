"""A silence of five minutes looks like a hang: in a notebook, long waits are shown."""

import math
import sys
import threading
import time

_monotonic = time.monotonic


class Countdown:
    """How long a wait still takes; not for short ones, outside of notebooks, in virtual time."""

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
    return hasattr(shell, "kernel") and mine and in_real_time()


def in_real_time() -> bool:
    """False while something stands in for `time.monotonic`, for this code if it has `passes`."""
    return getattr(time.monotonic, "passes", lambda: time.monotonic is _monotonic)()
