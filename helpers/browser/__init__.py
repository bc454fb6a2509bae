"""What a browser tab lacks and the course brings: calls that wait, and packages that come late.

The only place that asks whether this is a tab; everywhere else the functions here do what is right.
"""

import asyncio
import sys
import threading

HERE = sys.platform == "emscripten"

WHERE_TOKENS_GO = (
    "then run `hf auth login` in a terminal (on Colab: add the secret HF_TOKEN), restart the kernel"
    " and choose Live again."
)
NO_PRACTICE = ""  # why Practice cannot be had here
if HERE:
    WHERE_TOKENS_GO = (
        'then run `import os, getpass; os.environ["HF_TOKEN"] = getpass.getpass()` in a cell, and'
        " choose Live again. The token stays in this tab's Python and is gone when the kernel ends."
    )
    NO_PRACTICE = (
        "Practice needs the practice server on your machine, and a page in a browser may not ask"
        " it. Here it is Replay; for Practice open the course with `make lab`."
    )


def install() -> None:
    """Once, before anything waits or asks for a package."""
    if HERE:
        from helpers.browser import aside, packages

        aside.install()
        packages.install()


def prepare_clients() -> None:
    """Before huggingface_hub is used: it asks what is installed, not what could be fetched."""
    if HERE:
        from helpers.browser import packages

        packages.teach_hub()


def fetch(module: str) -> None:
    """Before a module is imported that no cell has imported by name."""
    if HERE:
        from helpers.browser import packages

        packages.fetch(module)


def explained(error: BaseException, request) -> BaseException:
    """What a request met; in a tab, whose "Failed to fetch" explains nothing, with what it
    means."""
    import httpx2

    if HERE and isinstance(error, httpx2.ConnectError):
        from helpers.browser import packages

        return httpx2.ConnectError(packages.refused(request.url.host), request=request)
    return error


def apart(work, around) -> None:
    """Call `work` in a thread of its own, which may be left behind; a tab has no other thread, and
    it is called inside `around(work)` at once."""
    if HERE:
        around(work)
    else:
        threading.Thread(target=work, daemon=True).start()


def finish(coroutine):
    """What a coroutine returns, for code that is not async itself and has no loop in its thread."""
    if not HERE:
        return asyncio.run(coroutine)
    from pyodide.ffi import run_sync

    async def kept() -> tuple:  # Pyodide shows the error of a task, also if it is caught
        try:
            return await coroutine, None
        except BaseException as error:
            return None, error

    value, error = run_sync(kept())
    if error is not None:
        raise error
    return value


def event_loop() -> type:
    """The class whose methods every event loop here has."""
    if HERE:
        from pyodide.webloop import WebLoop

        return WebLoop
    return asyncio.BaseEventLoop
