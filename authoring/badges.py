"""`make badges`: the course's public address, written into everything that names it.

    python -m authoring.badges                                          after adding a notebook
    python -m authoring.badges --address https://github.com/you/course  after publishing, or in a
    fork

The address stands in pyproject.toml, under [project.urls] Repository. From it come, in every
notebook, the cell `badges` (where else it can be opened) and the cell `setup` (which installs the
course on Colab), and one line of README.md. Links rather than pictures: a picture would be fetched
from another site each time a notebook is opened.
"""

import argparse
import re
import sys
import tomllib
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell

from authoring.execute import NotebookFailed, execute, save

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("notebooks", "solutions", "exercises")
BRANCH = "main"
PLACEHOLDER = "https://github.com/OWNER/REPO"  # until somebody publishes the course
ADDRESS = re.compile(r"https://github\.com/([A-Za-z0-9-]+)/([A-Za-z0-9._-]+)")
IN_PYPROJECT = re.compile(r'^Repository = "([^"]*)"$', re.MULTILINE)
IN_README = re.compile(r"^\*\*Nothing to install\.\*\* .*$", re.MULTILINE)

# `find_spec`: once installed, the cell has nothing to do. `import helpers`: it says if the session
# must be restarted.
SETUP = """\
# On Colab this installs the course. Anywhere else it does nothing.
import importlib.util, subprocess, sys

if "google.colab" in sys.modules and importlib.util.find_spec("helpers") is None:
    pip = [sys.executable, "-m", "pip", "install", "-q", "git+{address}@{branch}"]
    done = subprocess.run(pip, capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise RuntimeError(
            "The course was not installed. Run this cell again. pip says: " + done.stderr[-600:]
        )
    import helpers"""


def address(root: Path = ROOT) -> str:
    """The course's public address, as pyproject.toml has it."""
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"][
        "Repository"
    ]


def parts(address: str) -> tuple[str, str]:
    """(owner, repository) of an address. Raises ValueError for one that Colab and Binder could not
    open."""
    found = ADDRESS.fullmatch(address.removesuffix("/").removesuffix(".git"))
    if not found:
        raise ValueError(
            f"{address!r} is no address of a GitHub repository; it must look like"
            " https://github.com/you/course"
        )
    return found[1], found[2]


def links(address: str, path: str) -> str:
    """Markdown links that open one notebook elsewhere; `path` as in
    "notebooks/01_first_call.ipynb"."""
    owner, repository = parts(address)
    return " · ".join(
        [
            (
                "[Google"
                " Colab](https://colab.research.google.com/github/"
                f"{owner}/{repository}/blob/{BRANCH}/{path})"
            ),
            f"[Binder](https://mybinder.org/v2/gh/{owner}/{repository}/{BRANCH}"
            f"?urlpath=lab/tree/{path})",
            (
                "[a browser"
                f" tab](https://{owner.lower()}.github.io/{repository}/lab/index.html?path={path})"
            ),
        ]
    )


def badges(address: str, path: str) -> str:
    """The source of a notebook's cell `badges`."""
    until = " The links work once the course is published." if address == PLACEHOLDER else ""
    return f"Open this notebook in {links(address, path)}.{until}"


def setup(address: str) -> str:
    """The source of a notebook's cell `setup`."""
    return SETUP.format(address=address, branch=BRANCH)


def readme(text: str, address: str) -> str:
    """README.md with its line of links. Raises ValueError if the line is gone."""
    until = "Once the course is published: open" if address == PLACEHOLDER else "Open"
    line = (
        f"**Nothing to install.** {until} the first lesson in"
        f" {links(address, 'notebooks/01_first_call.ipynb')}."
    )
    text, found = IN_README.subn(lambda _: line, text)
    if found != 1:
        raise ValueError(
            "README.md needs one line that begins with **Nothing to install.** for the links"
        )
    return text


def update(notebook: nbformat.NotebookNode, address: str, path: str) -> bool:
    """Put both cells where they belong, with this address. True if a cell was new, so that the
    notebook has to run."""
    there = {cell.get("id"): cell for cell in notebook.cells}
    new = "setup" not in there
    if "badges" not in there:
        notebook.cells.insert(1, new_markdown_cell(id="badges"))
    if new:
        first = next(i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code")
        notebook.cells.insert(first, new_code_cell(id="setup"))
    for cell in notebook.cells:
        if cell.id == "badges":
            cell.source = badges(address, path)
        if cell.id == "setup":
            cell.source = setup(address)
    return new


def disagreement(address: str, repository: str | None) -> str:
    """What is wrong with the address on GitHub, and the command that mends it; "" if nothing is.

    repository : GITHUB_REPOSITORY, "owner/name"; None elsewhere, where nobody knows better.
    """
    if repository is None or "/".join(parts(address)).lower() == repository.lower():
        return ""
    return (
        f"the course names {address}, but this is {repository}: make badges"
        f" ADDRESS=https://github.com/{repository}"
    )


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m authoring.badges", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "--address", help="of the repository on GitHub; default: what pyproject.toml has"
    )
    options = parser.parse_args(arguments)
    try:
        new = "https://github.com/" + "/".join(parts(options.address or address(root)))
        files = {
            "pyproject.toml": lambda text: IN_PYPROJECT.sub(f'Repository = "{new}"', text),
            "README.md": lambda text: readme(text, new),
        }
        for name, change in files.items():
            text = (root / name).read_text(encoding="utf-8")
            if (changed := change(text)) != text:
                (root / name).write_text(changed, encoding="utf-8", newline="\n")
                print(f"{name}: {new}")
        for path in sorted(path for folder in FOLDERS for path in (root / folder).glob("*.ipynb")):
            notebook, named = nbformat.read(path, as_version=4), f"{path.parent.name}/{path.name}"
            if update(notebook, new, named):  # a cell more: the counts of all others change
                execute(path, notebook=notebook, write=False)
            if save(notebook, path):
                print(f"{named}: {new}")
    except (ValueError, NotebookFailed) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
