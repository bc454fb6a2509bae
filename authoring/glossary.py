"""GLOSSARY.md, made from the lessons: every sentence that marks a term with `<dfn>` defines it.

python -m authoring.glossary            write GLOSSARY.md
python -m authoring.glossary --check    say whether it is up to date
"""

import re
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "GLOSSARY.md"
SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z`*<])")


def terms(folder: Path) -> dict[str, tuple[str, str, str]]:
    """{term in lower case: (term, defining sentence, notebook's name)}. Raises ValueError for a
    term defined twice."""
    found = {}
    for path in sorted(folder.glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type != "markdown" or "<dfn>" not in cell.source:
                continue
            for paragraph in cell.source.split("\n"):
                for sentence in SENTENCE.split(paragraph.strip()):
                    for term in re.findall(r"<dfn>(.+?)</dfn>", sentence):
                        if term.lower() in found:
                            raise ValueError(
                                f"{path.name} defines {term!r}, and so does"
                                f" {found[term.lower()][2]}; define it once"
                            )
                        found[term.lower()] = (
                            term,
                            re.sub(r"</?dfn>", "", sentence).lstrip("-> "),
                            path.name,
                        )
    return found


def text(folder: Path) -> str:
    """The glossary as Markdown, in alphabetical order, each term with a link to its lesson."""
    lines = ["# Glossary", "", "Made from the lessons by `python -m authoring.glossary`.", ""]
    for _, (term, sentence, name) in sorted(terms(folder).items()):
        lines += [f"**{term}**: {sentence} ([{name[:2]}](notebooks/{name}))", ""]
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    new = text(ROOT / "notebooks")
    if "--check" in arguments:
        same = FILE.exists() and FILE.read_text(encoding="utf-8") == new
        print(
            "GLOSSARY.md is up to date."
            if same
            else "GLOSSARY.md is out of date: run `python -m authoring.glossary`."
        )
        return 0 if same else 1
    FILE.write_text(new, encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
