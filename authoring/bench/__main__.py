"""Measure and write the dated table.

    python -m authoring.bench                   everything
    python -m authoring.bench replay imports    these parts

Parts: replay, imports, retry, lab (second start of `make lab`), tab (start of the site in a
browser), tests (`make test` against bare `jupyter execute`), workshop (a class on the hub of
workshop/), quota (a class behind one token).
"""

import argparse
import importlib
import subprocess
import sys
from pathlib import Path

from authoring.bench.table import FOLDER, keep

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("replay", "imports", "retry", "lab", "tab", "tests", "workshop", "quota")


def sections(part: str) -> list[str]:
    """Run one part; its tables as Markdown sections, each beginning with `## `.

    A part is a module here with `run()`, which returns Tables or such sections. A folder with
    `__main__` does as well: what it prints from its first `## ` on is taken.
    """
    name = f"authoring.bench.{part}"
    module = importlib.import_module(name)
    if hasattr(module, "run"):
        return [one if isinstance(one, str) else one.markdown() for one in module.run()]
    printed = subprocess.run(
        [sys.executable, "-m", name], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    return [printed[printed.index("## ") :]]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m authoring.bench", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}; all if none is given"
    )
    parts = parser.parse_args(arguments).parts or PARTS
    if unknown := set(parts) - set(PARTS):
        parser.error(
            f"no part is called {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}"
        )
    failed = 0
    for part in parts:
        try:
            found = sections(part)
        except Exception as error:
            failed += 1
            print(f"{part}: FAILED. {type(error).__name__}: {error}", file=sys.stderr)
            continue
        print("\n".join(found), flush=True)
        keep(found)
    print(f"Written to {FOLDER.relative_to(ROOT).as_posix()}/")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
