"""In a browser tab, NumPy, Matplotlib and Pillow are not there from the start: they are fetched
from where Pyodide publishes them, the first time a cell imports one. Without a network they cannot
be had. This module says so, where Python would only say that there is no such module, and lets
everything else go on.

`import numpy as np` then gives a stand-in that explains itself when it is used, so a cell that
imports more than that still imports the rest.

The OpenAI client comes late, too, but from the course's own site; nothing of it has to be
explained.
"""

import contextlib
import importlib
import importlib.machinery
import sys
import types

NAMES = {"numpy": "NumPy", "PIL": "Pillow", "matplotlib": "Matplotlib"}
# What is fetched for which module; the last three from the site itself.
PACKAGES = {"numpy": "numpy", "PIL": "pillow", "matplotlib": "matplotlib"}
PACKAGES |= {name: name for name in ("openai", "pydantic", "stamina")}
LONGEST = 60  # seconds that one of them may take to come

_gave_up: set[str] = set()


def install() -> None:
    """Explain missing packages from now on. helpers does this when it is imported in a tab;
    elsewhere they are installed."""
    if not any(isinstance(finder, _Last) for finder in sys.meta_path):
        sys.meta_path.append(_Last())


def fetch(module: str, package: str | None = None) -> bool:
    """Fetch a package now, where no cell has imported it by name. True if `import module` works
    from here on.

    package : its name, where that is another one than the module's.

    A failure is remembered until the kernel is restarted, so that not every figure waits anew;
    where NumPy could not be had, Pillow and Matplotlib are not tried.
    """
    from pyodide.ffi import can_run_sync, run_sync

    if module in sys.modules:
        return not isinstance(sys.modules[module], _StandIn)
    without_numpy = module in NAMES and isinstance(sys.modules.get("numpy"), _StandIn)
    if module in _gave_up or without_numpy or not can_run_sync():
        return False
    with contextlib.suppress(Exception):  # a JsException; it counts whether the module is there now
        run_sync(_loaded_or_late(package or module))
    importlib.invalidate_caches()
    if importlib.machinery.PathFinder.find_spec(module) is None:
        _gave_up.add(module)
        return False
    return True


def teach_hub() -> None:
    """Let huggingface_hub find NumPy and Pillow in a tab: it asks what is installed before it
    imports them. Once is enough."""
    from huggingface_hub.utils import _runtime

    if getattr(_runtime._get_version, "fetches", False):
        return
    theirs, modules = _runtime._get_version, {PACKAGES[module]: module for module in NAMES}

    def version(package: str) -> str:
        if package in modules and _runtime._package_versions.get(package, "N/A") == "N/A":
            _runtime._package_versions.pop(package, None)  # it keeps "not installed" for good
            if not fetch(modules[package], package) and package == "numpy":
                raise absent("numpy")  # its own advice is to install it
        return theirs(package)

    version.fetches = True
    _runtime._get_version = version


def _loaded_or_late(package: str):
    """A JavaScript promise: the package is there, or could not be had, or LONGEST is over. By the
    browser's clock, because ours may stand still in the fault lab."""
    from js import Promise, setTimeout
    from pyodide.ffi import create_once_callable, to_js
    from pyodide_js import loadPackage

    def silent(_text):
        """What went wrong is said where the package is missed."""

    wait = create_once_callable(lambda resolve, _reject: setTimeout(resolve, 1000 * LONGEST))
    late = Promise.new(wait)
    loaded = loadPackage(package, messageCallback=silent, errorCallback=silent)
    return Promise.race(to_js([loaded, late]))


def absent(module: str) -> ModuleNotFoundError:
    """The error that says what is missing and what to do."""
    name = NAMES[module]
    return ModuleNotFoundError(
        f"This needs {name}, which a browser tab fetches from Pyodide's own site, and it could not"
        f" be fetched. Cells without {name} work all the same. When the network is back: restart"
        " the kernel, and run again.",
        name=module,
    )


def refused(host: str) -> str:
    """What a browser's "Failed to fetch" means, for a request to the real service."""
    return (
        f"The browser could not fetch from {host}. Either there is no network, or the service does"
        " not let pages of other sites ask it (CORS), which nobody can change from here. Live"
        " works in JupyterLab on your machine (`make lab`), on Binder and on Colab; Replay works"
        " here."
    )


class _Last:
    """Asked when nobody else has found a module."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        root = name.partition(".")[0]
        if root not in PACKAGES:
            return None
        # A cell's own imports are fetched before it runs; this one is a module's.
        if name == root and fetch(root, PACKAGES[root]):
            return importlib.machinery.PathFinder.find_spec(name)
        # Matplotlib is missed in one place, which shows a table instead (plotting.py).
        if root not in NAMES or root == "matplotlib":
            return None
        if name == "numpy":
            return importlib.machinery.ModuleSpec(name, _Loader)
        raise absent(root)


class _Loader:
    @staticmethod
    def create_module(spec):
        return _StandIn(spec.name)

    @staticmethod
    def exec_module(module):
        """There is nothing to run."""


class _StandIn(types.ModuleType):
    """In the place of NumPy. An AttributeError, because others look at a module with hasattr()."""

    def __getattr__(self, name):
        raise AttributeError(name if name.startswith("__") else str(absent(self.__name__)))
