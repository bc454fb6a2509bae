"""What the site and the slides take from npm: pinned in package-lock.json beside this file, fetched
by `npm ci`."""

import json
from pathlib import Path

HERE = Path(__file__).resolve().parent


class NpmFailed(RuntimeError):
    """A package of package-lock.json is not here. The message says what to do."""


def package(name: str) -> Path:
    """The folder of an npm package. Raises NpmFailed if nobody has run `npm ci` since it was
    pinned."""
    folder = HERE / "node_modules" / name
    try:
        found = json.loads((folder / "package.json").read_text(encoding="utf-8"))["version"]
    except FileNotFoundError:
        found = "nothing"
    if found != pinned(name):
        raise NpmFailed(
            f"{name} {pinned(name)} comes from npm, and {found} is here. Run `make"
            " authoring/node_modules`; on Debian or Ubuntu, `sudo apt-get install npm` before it"
        )
    return folder


def pinned(name: str) -> str:
    """The version of an npm package that package-lock.json names. Raises KeyError for one that it
    does not."""
    lock = json.loads((HERE / "package-lock.json").read_text(encoding="utf-8"))
    return lock["packages"][f"node_modules/{name}"]["version"]
