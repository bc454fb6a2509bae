"""How the hub starts learners' servers: forked from one process that has imported what all of them
need (preload.py).

Started from nothing, each would import the same 100 MiB. Forked, they share those pages, and start
sooner. The process to fork from is Python's own, multiprocessing's "forkserver".
"""

import multiprocessing
import os
import sys
import types
from multiprocessing import forkserver
from pathlib import Path
from unittest.mock import patch

from jupyterhub.spawner import SimpleLocalProcessSpawner
from jupyterhub.utils import random_port

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["preload"])


def warm_up() -> None:
    """Start the process to fork from, so that the first learner does not wait for it."""
    # The paths in sys.path do not reach it before Python 3.13; and it has no business with the
    # hub's passwords. One arena: glibc would give each server's threads memory of their own, and
    # keep it.
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": str(Path(__file__).parent),
        "MALLOC_ARENA_MAX": "1",
    }
    with patch.dict(os.environ, environment, clear=True):
        forkserver.ensure_running()


class ForkingSpawner(SimpleLocalProcessSpawner):
    """JupyterHub's "simple" spawner, but for how a process begins. The rest of it needs no more
    than the pid."""

    async def start(self):
        self.port = self.port or random_port()
        process = context.Process(
            target=serve, args=(self.get_args(), self.get_env(), self.home_dir), daemon=True
        )
        # multiprocessing runs the parent's main module in the child, too. Here that would be the
        # whole hub.
        with patch.dict(sys.modules, __main__=types.ModuleType("__main__")):
            process.start()
        self.pid = process.pid
        return self.ip or "127.0.0.1", self.port


def serve(arguments: list[str], environment: dict[str, str], home: str) -> None:
    """In the forked process: be a learner's server, with these arguments and nothing but this
    environment."""
    import preload  # noqa: F401 (there already, if all is well)

    os.setsid()  # a Ctrl+C is the hub's; it stops the servers itself
    os.makedirs(home, exist_ok=True)
    os.chdir(home)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["jupyterhub-singleuser", *arguments]
    from jupyterhub.singleuser import main

    main()
