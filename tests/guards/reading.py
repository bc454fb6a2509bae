"""Can everybody read it? Heading order, alt text, links, and the parts that every lesson has."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from guards import calls, code_cells, markdown_cells, syntax, text_of, tokens

PICTURES = ("image/png", "image/jpeg", "image/svg+xml")
SHORTEST_ALT = 20


def headings(notebook) -> list[str]:
    """One title, first; no level is skipped below it: a screen reader's outline is whole."""
    found = [
        (where, *heading)
        for where, cell in markdown_cells(notebook)
        for heading in headings_of(cell.source)
    ]
    if not found or found[0][1] != 1 or notebook.cells[0].cell_type != "markdown":
        return ["does not begin with its title (# …)"]
    problems = [
        f"{where}: a second title: {said!r}" for where, level, said in found[1:] if level == 1
    ]
    for (_, before, _), (where, level, said) in zip(found, found[1:]):
        if level > before + 1:
            problems.append(
                f"{where}: {said!r} is a heading of level {level} under one of level {before}"
            )
    return problems


def headings_of(markdown: str) -> list[tuple[int, str]]:
    """(level, text) of each heading."""
    flat = tokens(markdown)
    opening = [i for i, token in enumerate(flat) if token.type == "heading_open"]
    return [(int(flat[i].tag[1]), flat[i + 1].content) for i in opening]


def alt_texts(notebook) -> list[str]:
    """Every picture, in prose and in outputs, says in words what it shows."""
    alts = []
    for where, cell in markdown_cells(notebook):
        alts += [(where, alt) for alt in _alts_in(cell.source) + _alts_in_html(cell.source)]
    for where, cell in code_cells(notebook):
        for output in cell.outputs:
            data, metadata = output.get("data", {}), output.get("metadata", {})
            pages = _alts_in_html(data.get("text/html", ""))
            pages += _alts_in(data.get("text/markdown", ""))
            kinds = [kind for kind in PICTURES if kind in data and not pages]
            pages += [metadata.get(kind, {}).get("alt") or metadata.get("alt") for kind in kinds]
            alts += [(where, alt) for alt in pages]
    return [f"{where}: {complaint}" for where, alt in alts if (complaint := _poor_alt(alt))]


def _alts_in(markdown: str) -> list[str]:
    return [token.content for token in tokens(markdown) if token.type == "image"]


def links(notebook, path: Path) -> list[str]:
    """Links inside the course lead somewhere; links outside are whole addresses."""
    cells = list(markdown_cells(notebook))
    sections = {said for _, cell in cells for _, said in headings_of(cell.source)}
    return [
        f"{where}: {problem}"
        for where, cell in cells
        for problem in links_in(cell.source, path, sections)
    ]


def links_in(markdown: str, path: Path, sections: set[str] | None = None) -> list[str]:
    """Problems with the links of a piece of Markdown that stands in the file `path`.

    sections : headings that `#…` may lead to; default: those of the Markdown itself.
    """
    sections = {said for _, said in headings_of(markdown)} if sections is None else sections
    problems = []
    for token in tokens(markdown):
        target = None
        if token.type in ("link_open", "image"):
            target = token.attrs.get("href") or token.attrs.get("src")
        if target is None:
            continue
        parts = urlsplit(target)
        if parts.scheme in ("http", "https"):
            host = parts.hostname or ""
            named = re.fullmatch(r"([a-z0-9-]+\.)+[a-z]{2,}|127\.0\.0\.1|localhost", host)
            if not named or " " in unquote(target):
                problems.append(f"not a whole address: {target}")
            elif parts.scheme == "http" and host not in ("127.0.0.1", "localhost"):
                problems.append(f"use https: {target}")
        elif parts.scheme in ("mailto", "attachment"):
            continue
        elif parts.scheme or target.startswith("/"):
            problems.append(f"neither an address nor a file of the course: {target}")
        elif parts.path and not (path.parent / unquote(parts.path)).exists():
            problems.append(f"leads nowhere: {target}")
        elif not parts.path and _anchor(parts.fragment) not in map(_anchor, sections):
            problems.append(f"no section of that name here: {target}")
    return problems


def lesson_parts(notebook, path: Path) -> list[str]:
    """What every lesson has: promise, minutes and calls, start(), guesses, its two boxes, a recap
    and its exercise."""
    prose = "\n\n".join(cell.source for _, cell in markdown_cells(notebook))
    opening = "\n".join(cell.source for cell in notebook.cells[:3] if cell.cell_type == "markdown")
    closing = "\n".join(cell.source for cell in notebook.cells[-3:] if cell.cell_type == "markdown")
    first_code = [cell for _, cell in code_cells(notebook)][:3]
    wanted = {
        "what the reader will be able to do, at the top": re.search(
            r"you will be able to|you can\b", opening, re.I
        ),
        "its minutes, at the top": re.search(r"\d+\s+minutes", opening, re.I),
        "its number of calls, at the top": re.search(
            r"\d+\s+(\w+\s+)?calls|no calls", opening, re.I
        ),
        "what it costs, at the top": re.search(r"\bcosts?\b|\bfree\b|credits", opening, re.I),
        f'start("{path.stem}") among its first cells': any(
            name == "start" and call.args and getattr(call.args[0], "value", None) == path.stem
            for cell in first_code
            for name, call in calls(syntax(cell.source))
        ),
        "at least one guess before a cell (**Predict.**)": re.search(r"\*\*predict", prose, re.I),
        'the box "older code you will meet"': re.search(r"older code you will meet", prose, re.I),
        'the box "in production"': re.search(
            r"\*\*in production|^#+ in production", prose, re.I | re.MULTILINE
        ),
        "a recap": re.search(r"^#+ .*recap", prose, re.I | re.MULTILINE),
        f"at its end, the way to exercises/{path.name}": f"../exercises/{path.name}" in closing,
    }
    return [f"lacks {part}" for part, there in wanted.items() if not there]


def stated_calls(notebook) -> int | None:
    """The number of calls that the top of a lesson states; None if it states none."""
    opening = "\n".join(cell.source for cell in notebook.cells[:3] if cell.cell_type == "markdown")
    found = re.search(r"(\d+|no)\s+(?:\w+\s+)?calls", opening, re.I)
    return found and (0 if found.group(1).lower() == "no" else int(found.group(1)))


def calls_agree(stated: int | None, recorded: int, shown: str = "") -> list[str]:
    """The top of a lesson, its recording and the banner that start() printed all name the same
    number of calls.

    stated, recorded : numbers; shown : the text that the first cells printed.
    """
    problems = []
    if stated != recorded:
        problems.append(f"states {stated} calls at its top, but its recording holds {recorded}")
    banner = re.search(r"(\d+) calls in this lesson", shown)
    if banner and int(banner.group(1)) != recorded:
        problems.append(
            f"its banner shows {banner.group(1)} calls, but its recording holds {recorded}: run it"
            " again"
        )
    return problems


def shown_at_start(notebook) -> str:
    """All that the first three code cells show."""
    return "\n".join(
        text_of(output) for _, cell in list(code_cells(notebook))[:3] for output in cell.outputs
    )


class _Images(HTMLParser):
    def __init__(self):
        super().__init__()
        self.alts: list[str | None] = []

    def handle_starttag(self, tag, attributes):
        if tag == "img":
            self.alts.append(dict(attributes).get("alt"))
        if tag == "svg":
            self.alts.append(dict(attributes).get("aria-label"))


def _alts_in_html(source: str) -> list[str | None]:
    parser = _Images()
    parser.feed(source)
    return parser.alts


def _poor_alt(alt: str | None) -> str:
    if not alt or not alt.strip():
        return "a picture without alt text"
    if len(alt.strip()) < SHORTEST_ALT or re.fullmatch(
        r"(an? |the )?(image|figure|plot|chart|diagram|graph)\b.{0,25}", alt.strip(), re.I
    ):
        return f"alt text that states no finding: {alt.strip()!r}"
    return ""


def _anchor(heading: str) -> str:
    """Headings as JupyterLab and GitHub link to them, made equal."""
    return re.sub(r"[^\w-]", "", unquote(heading).strip().replace(" ", "-")).lower()
