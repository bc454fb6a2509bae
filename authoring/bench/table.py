"""A measured table as Markdown, and the dated file that holds them all."""

import os
import platform
import re
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import version
from pathlib import Path

FOLDER = Path(__file__).parent
PACKAGES = ("huggingface_hub", "openai", "httpx2")


@dataclass
class Table:
    """One section of the report. `rows` are cells as text; `note` says what was measured and
    how."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    note: str
    more: list[str] = field(default_factory=list)  # packages whose version matters here

    def markdown(self) -> str:
        lines = [
            "| " + " | ".join(cells) + " |"
            for cells in [self.columns, ["---"] * len(self.columns), *self.rows]
        ]
        where = (
            f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python"
            f" {platform.python_version()}"
        )
        what = ", ".join(f"{name} {version(name)}" for name in (*PACKAGES, *self.more))
        return "\n".join(
            [f"## {self.title}", "", *lines, "", self.note, "", f"*{where}; {what}.*", ""]
        )


def keep(sections: list[str], folder: Path = FOLDER) -> Path:
    """Put the sections into today's file; sections of other parts that were measured today stay."""
    path = folder / f"{date.today().isoformat()}.md"
    found = (
        re.split(r"(?m)^(?=## )", path.read_text(encoding="utf-8"))
        if path.exists()
        else [f"# Benchmarks, {date.today().isoformat()}\n\n"]
    )
    heading = lambda section: section.split("\n", 1)[0]
    for section in sections:
        places = [place for place, old in enumerate(found) if heading(old) == heading(section)]
        if places:
            found[places[0]] = section
        else:
            found.append(section)
    path.write_text(
        "\n".join(section.rstrip("\n") + "\n" for section in found), encoding="utf-8", newline="\n"
    )
    return path
