"""Is what Python has loaded what is installed? After an upgrade in a running kernel it is not.

That happens on Colab, where a cell that stands above the course's first may have imported an older client.
"""

import importlib.metadata
import sys
from collections.abc import Mapping

CLIENTS = ("huggingface_hub", "openai", "httpx2")


def outdated(modules: Mapping | None = None) -> list[str]:
    """One line for each client library that is loaded in another version than the installed one.

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


def refuse_outdated(modules: Mapping | None = None) -> None:
    """Raises ImportError that asks for a restart if a client library was upgraded after it had been imported."""
    if found := outdated(modules):
        raise ImportError(
            "; ".join(found)
            + ". Restart the session (on Colab: Runtime > Restart session; in Jupyter: "
            "Kernel > Restart Kernel) and run the notebook from the top."
        )
