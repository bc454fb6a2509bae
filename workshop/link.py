"""The link that gives learners the course on any hub that has nbgitpuller, and brings them what has
changed since.

python -m workshop.link https://hub.example.org [exercises/03_rate_limits_and_retries.ipynb]
"""

import argparse
import sys
from urllib.parse import quote, urlencode, urlsplit

from authoring.badges import BRANCH, ROOT, address


def link(hub: str, notebook: str = "notebooks/01_first_call.ipynb") -> str:
    """The nbgitpuller link to a notebook of the course. Raises ValueError for an address or a
    notebook that is none."""
    parts = urlsplit(hub)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(
            f"{hub!r} is no address of a hub; it must look like https://hub.example.org"
        )
    if not (ROOT / notebook).is_file():
        raise ValueError(f"there is no {notebook} in the course")
    course = address()
    opens = f"lab/tree/{course.rstrip('/').rpartition('/')[2]}/{notebook}"
    return f"{hub.rstrip('/')}/hub/user-redirect/git-pull?" + urlencode(
        {"repo": course, "branch": BRANCH, "urlpath": opens}, quote_via=quote
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m workshop.link", description=__doc__.splitlines()[0]
    )
    parser.add_argument("hub", help="the hub's address")
    parser.add_argument(
        "notebook", nargs="?", default="notebooks/01_first_call.ipynb", help="default: %(default)s"
    )
    asked = parser.parse_args(arguments)
    try:
        print(link(asked.hub, asked.notebook))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
