"""`make pages`: every notebook as a page to read, without Jupyter and without a network, in
_pages/.

    python -m authoring.pages

_pages/ has the folders of the course. _pages/index.html is README's opening and its table of
lessons. A page is one file: style and figures are in it, and it asks nothing of any address. Light
or dark, as the reader's system says.
"""

import functools
import re
import shutil
import sys
from pathlib import Path

import nbformat
from nbconvert import HTMLExporter
from pygments.formatters import HtmlFormatter

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = Path(__file__).resolve().parent / "templates"
OUT = ROOT / "_pages"
FOLDERS = ("notebooks", "exercises", "solutions")
# Cells for those who run the notebook: where else it opens, and what Colab has to install.
FOR_RUNNING = ("badges", "setup")
FOREIGN_IMAGE = re.compile(r"!\[([^\]]*)\]\(https?://[^)]*\)")
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)\s]+)\)")


@functools.cache
def style() -> str:
    """The style sheet of pages and slides, with the colours of code for light and dark."""
    light, dark = (
        "\n".join(
            line
            for line in HtmlFormatter(style=name).get_style_defs(".highlight").splitlines()
            if line.startswith(".highlight .")
        )
        for name in ("xcode", "github-dark")
    )  # of Pygments' styles, those with 4.5:1 or more on our grounds
    sheet = (TEMPLATES / "course.css").read_text(encoding="utf-8")
    return f"{sheet}\n{light}\n@media screen and (prefers-color-scheme: dark) {{\n{dark}\n}}\n"


def readable(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A copy for reading: without the cells for running it, without pictures from elsewhere, and
    with links to pages."""
    notebook = nbformat.from_dict(notebook)
    notebook.cells = [cell for cell in notebook.cells if cell.get("id") not in FOR_RUNNING]
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = LINK.sub(
                lambda link: f"]({page_of(link[1])})", FOREIGN_IMAGE.sub(r"\1", cell.source)
            )
    return notebook


def page_of(target: str) -> str:
    """Where a link inside the course leads on the pages."""
    if target.rstrip("/") in FOLDERS:
        return f"#{target.rstrip('/').capitalize()}"
    return re.sub(r"\.(ipynb|md)(?=$|#)", ".html", target)


def convert(
    notebook: nbformat.NotebookNode,
    template: str,
    exporter: type[HTMLExporter] = HTMLExporter,
    **page,
) -> str:
    """The HTML of a notebook.

    page : what the template needs, `title` among it.
    """
    html, _ = exporter_of(exporter, template).from_notebook_node(
        notebook, resources={"page": {"css": style()} | page}
    )
    # Wide tables scroll by themselves, not the whole page. An empty link is a stop for the keyboard
    # and says nothing.
    html = re.sub(r'<a class="anchor-link"[^>]*></a>', "", html)
    return re.sub(r"<table\b.*?</table>", r'<div class="scroll">\g<0></div>', html, flags=re.DOTALL)


@functools.cache
def exporter_of(kind: type[HTMLExporter], template: str) -> HTMLExporter:
    """One for all notebooks: compiling the templates takes longer than a page."""
    return kind(
        template_name=template,
        extra_template_basedirs=[str(TEMPLATES)],
        extra_template_paths=[str(TEMPLATES)],
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        anchor_link_text="",
    )


def title(notebook: nbformat.NotebookNode, folder: str = "") -> str:
    """What its first heading says. A solution has the heading of its exercise, and needs a title of
    its own."""
    said = re.search(r"^# (.+)$", notebook.cells[0].source, re.MULTILINE)[1]
    return said.replace("Exercise", "Solution") if folder == "solutions" else said


def index(root: Path) -> nbformat.NotebookNode:
    """README's opening and its table of lessons, and what else there is to read."""
    readme = (root / "README.md").read_text(encoding="utf-8")
    opening = readme.split("\n## ")[0]
    lessons = re.search(r"^## Lessons\n.*?(?=^## |\Z)", readme, re.MULTILINE | re.DOTALL)[0]
    more = [
        f"## {folder.capitalize()}\n\n"
        + "\n".join(
            f"- [{title(nbformat.read(path, as_version=4), folder)}]({folder}/{path.name})"
            for path in notebooks(root, folder)
        )
        for folder in FOLDERS[1:]
    ]
    text = "\n\n".join(
        [
            opening,
            lessons,
            *more,
            (
                "## Terms\n\nAll of them, with the sentence that explains each: the"
                " [glossary](GLOSSARY.md)."
            ),
        ]
    )
    return markdown(text)


def markdown(text: str) -> nbformat.NotebookNode:
    """A notebook of one Markdown cell: a page of text goes the same way as a lesson."""
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)])


def notebooks(root: Path, folder: str) -> list[Path]:
    return sorted((root / folder).glob("*.ipynb"))


def linked_files(path: Path, notebook: nbformat.NotebookNode) -> list[Path]:
    """What a notebook links to that has no page: data, a helper's source."""
    links = (
        link
        for cell in notebook.cells
        if cell.cell_type == "markdown"
        for link in LINK.findall(cell.source)
    )
    files = ((path.parent / link.split("#")[0]).resolve() for link in links)
    return [file for file in files if file.is_file() and file.suffix not in (".ipynb", ".md")]


def build(root: Path = ROOT, out: Path = OUT) -> list[Path]:
    """Write all pages below `out` and return them. Files without a page that a notebook links to
    are copied beside."""
    glossary = markdown((root / "GLOSSARY.md").read_text(encoding="utf-8"))
    made = [
        write(out / "index.html", index(root), []),
        write(out / "GLOSSARY.html", glossary, [("All lessons", "index.html")]),
    ]
    for folder in FOLDERS:
        paths = notebooks(root, folder)
        for path, before, after in zip(paths, [None, *paths], [*paths[1:], None]):
            notebook = nbformat.read(path, as_version=4)
            neighbours = [
                (f"{arrow} {other.stem[:2]}", f"{other.stem}.html")
                for arrow, other in (("←", before), ("→", after))
                if other
            ]
            made.append(
                write(
                    out / folder / f"{path.stem}.html",
                    notebook,
                    [("All lessons", "../index.html"), *neighbours],
                )
            )
            for file in linked_files(path, notebook):
                copy = out / file.relative_to(root)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)
    return made


def write(target: Path, notebook: nbformat.NotebookNode, links: list[tuple[str, str]]) -> Path:
    """One page, with its links to others at the top."""
    target.parent.mkdir(parents=True, exist_ok=True)
    html = convert(
        readable(notebook), "page", title=title(notebook, target.parent.name), links=links
    )
    target.write_text(html, encoding="utf-8", newline="\n")
    return target


def main() -> int:
    pages = build()
    size = sum(path.stat().st_size for path in pages) / 1e6
    print(f"{len(pages)} pages, {size:.1f} MB. Open {OUT.relative_to(ROOT).as_posix()}/index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
