"""`make slides`: every lesson as slides, from the same notebook, in _pages/slides/.

    python -m authoring.slides

What becomes a slide is decided here and nowhere else; the notebooks hold nothing for it:

- a heading begins a slide; a section (##) is a column, its parts stand below it;
- text after code begins a slide, with the cells that follow it;
- what would not fit goes to the next slide, and what does not fit on a slide of its own scrolls;
- after a question with **Predict** the code is shown, and its outputs with the next key press.

Each deck is one file that needs no network: reveal.js is in it, from npm as pinned in
package-lock.json.
"""

import copy
import math
import re
import sys
from pathlib import Path

import nbformat
from markdown_it import MarkdownIt
from nbconvert import SlidesExporter

from authoring import npm
from authoring.pages import OUT, ROOT, convert, notebooks, readable, title

WIDTH, HEIGHT = 1280, 720  # of a slide, in CSS pixels; course.css has the sizes of letters
ROOM = 650  # of the height, what a slide's content may take
PREDICT = re.compile(r"\*\*predict\b", re.IGNORECASE)
MARKDOWN = MarkdownIt("commonmark").enable("table")


def pieces(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """The cells, cut where a slide may end: Markdown between its blocks, code that is too tall
    between source and outputs."""
    found, predicted = [], False
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            predicted = bool(PREDICT.search(cell.source))
            lines = cell.source.split("\n")
            starts = [
                token.map[0]
                for token in MARKDOWN.parse(cell.source)
                if token.level == 0 and token.map and token.nesting >= 0
            ]
            for number, (start, end) in enumerate(zip(starts, [*starts[1:], len(lines)])):
                found.append(part(cell, number, source="\n".join(lines[start:end]).strip()))
        elif cell.cell_type == "code" and (cell.source or cell.outputs):
            if cell.outputs and height(cell) > ROOM:
                found += [
                    part(cell, 0, outputs=[]),
                    part(cell, 1, source=""),
                ]  # the next slide reveals them
            else:
                found.append(part(cell, 0, revealed=predicted))
    return found


def part(
    cell: nbformat.NotebookNode, number: int, revealed: bool = False, **changed
) -> nbformat.NotebookNode:
    """A copy of a cell with some of it changed."""
    made = copy.deepcopy(cell)
    made.update(changed, id=f"{cell.id}-{number}")
    made.metadata = nbformat.from_dict({"revealed": revealed})
    return made


def slides(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook cut into pieces, each with what nbconvert reads: "slide" begins a column,
    "subslide" a slide below, "-" goes on."""
    cells, used, before = [], 0, None
    for cell in pieces(notebook):
        heading = re.match(r"(#{1,6}) ", cell.source) if cell.cell_type == "markdown" else None
        new_text = (
            cell.cell_type == "markdown" and before is not None and before.cell_type == "code"
        )
        if heading and len(heading[1]) <= 2:
            kind = "slide"
        elif heading or new_text or used + height(cell) > ROOM:
            kind = "subslide"
        else:
            kind = "-"
        used = height(cell) + (0 if kind != "-" else used)
        cell.metadata["slideshow"] = {"slide_type": kind}
        cells.append(cell)
        before = cell
    return nbformat.v4.new_notebook(cells=cells, metadata=notebook.metadata)


def height(cell: nbformat.NotebookNode) -> int:
    """About how many pixels a cell takes on a slide; tests/test_pages.py measures how far that
    holds."""
    if cell.cell_type == "markdown":
        return sum(_text(line) for line in cell.source.split("\n")) + 12
    tall = 28 + 25 * _lines(cell.source, 108) if cell.source else 0
    for output in cell.outputs:
        data = output.get("data", {})
        if "image/png" in data:
            tall += 446
        elif "text/html" in data:
            tall += 40 + 42 * data["text/html"].count("<tr")
        else:
            tall += 16 + 25 * _lines(
                output.get("text")
                or data.get("text/plain")
                or "\n".join(output.get("traceback", [])),
                108,
            )
    return tall


def _lines(text: str, columns: int) -> int:
    """How many lines a text takes where each holds so many characters."""
    return sum(max(1, math.ceil(len(line) / columns)) for line in text.rstrip().split("\n"))


def _text(line: str) -> int:
    """Pixels of one line of Markdown."""
    if line.startswith("#"):
        return {1: 100, 2: 62, 3: 50}.get(len(line.split(" ")[0]), 50) * math.ceil(len(line) / 55)
    if line.startswith("|"):
        cells = line.strip("|").split("|")
        return 15 + 28 * max(math.ceil(len(cell) * len(cells) / 125) for cell in cells)
    if not line.strip():
        return 12
    return 34 * _lines(re.sub(r"\]\([^)]*\)|[*`]", "", line), 98)


def of_lessons(notebook: nbformat.NotebookNode, names: set[str]) -> nbformat.NotebookNode:
    """With links between lessons only: a deck is carried about without the rest of the course."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = re.sub(
                r"\[([^\]]*)\]\((?!https?:)([^)]*)\)",
                lambda link: link[0] if link[2] in names else link[1],
                cell.source,
            )
    return notebook


def build(root: Path = ROOT, out: Path = OUT / "slides") -> dict[Path, int]:
    """Write a deck for every lesson; {file: number of slides}. Raises npm.NpmFailed where reveal.js
    can't be had."""
    dist = npm.package("reveal.js") / "dist"
    script, sheet = (
        (dist / name).read_text(encoding="utf-8") for name in ("reveal.js", "reveal.css")
    )
    script = script.replace("</script", r"<\/script")
    out.mkdir(parents=True, exist_ok=True)
    made, paths = {}, notebooks(root, "notebooks")
    for path in paths:
        notebook = of_lessons(
            readable(nbformat.read(path, as_version=4)), {f"{one.stem}.html" for one in paths}
        )
        cut = slides(notebook)
        html = convert(
            cut,
            "slides",
            SlidesExporter,
            title=title(notebook),
            reveal_js=script,
            reveal_css=sheet,
            width=WIDTH,
            height=HEIGHT,
        )
        target = out / f"{path.stem}.html"
        target.write_text(html, encoding="utf-8", newline="\n")
        made[target] = sum(cell.metadata.slideshow.slide_type != "-" for cell in cut.cells)
    return made


def main() -> int:
    try:
        made = build()
    except npm.NpmFailed as error:
        print(error, file=sys.stderr)
        return 1
    for target, number in made.items():
        print(f"{target.stem}: {number} slides")
    print(
        f"Open {OUT.relative_to(ROOT).as_posix()}/slides/{next(iter(made)).name}; space goes on, F"
        " fills the screen, O shows all."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
