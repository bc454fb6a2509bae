"""What a strict comparison of outputs lets through. Each guard takes what it looks at and returns
one line a problem.

`tests/test_guards.py` runs them all over the course and shows each of them a bad example that it
must refuse.
"""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
LESSONS = (
    "01_first_call",
    "02_openai_client",
    "03_rate_limits_and_retries",
    "04_text_generation_and_streaming",
    "05_embeddings",
    "06_classification_and_ner",
    "07_image_generation",
    "08_serverless_or_endpoints",
    "09_support_desk",
)
FOLDERS = ("notebooks", "exercises", "solutions")
CACHES = {".ruff_cache", ".import_linter_cache", ".pytest_cache", ".hypothesis", "__pycache__"}
MADE_HERE = CACHES | {".venv", "node_modules", "_site", "_pages"}


def notebooks(*folders: str) -> list[Path]:
    """The notebooks of these folders (default: all three), in order, without editors' copies."""
    found = [
        path for folder in folders or FOLDERS for path in sorted((ROOT / folder).rglob("*.ipynb"))
    ]
    return [path for path in found if ".ipynb_checkpoints" not in path.parts]


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def tracked() -> list[Path]:
    """Every file that is in the repository or would be with the next commit, and still exists."""
    if not (ROOT / ".git").exists():
        # Downloaded as an archive: nothing but the repository's files, and what was installed.
        files = [path for path in sorted(ROOT.rglob("*")) if path.is_file()]
        return [path for path in files if not MADE_HERE & set(path.parts)]
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    how = {"cwd": ROOT, "capture_output": True, "check": True, "timeout": 60}
    names = sorted(set(subprocess.run(command, **how).stdout.decode().split("\0")) - {""})
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def code_cells(notebook) -> Iterator[tuple[str, nbformat.NotebookNode]]:
    """("cell 3", cell) for every code cell, counted as a reader counts: all cells, from 1."""
    for number, cell in enumerate(notebook.cells, 1):
        if cell.cell_type == "code":
            yield f"cell {number}", cell


def markdown_cells(notebook) -> Iterator[tuple[str, nbformat.NotebookNode]]:
    for number, cell in enumerate(notebook.cells, 1):
        if cell.cell_type == "markdown":
            yield f"cell {number}", cell


def tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


@cache
def syntax(source: str) -> ast.Module:
    """A cell's code, IPython's magics turned into calls as in the kernel. Raises SyntaxError."""
    return ast.parse(TransformerManager().transform_cell(source))


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """(last part of the called name, the call) for every call."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            yield name, node


@cache
def tokens(markdown: str) -> tuple:
    """Markdown as markdown-it sees it, with tables; inline tokens in place of their parents."""
    flat = []
    for token in MarkdownIt("commonmark").enable("table").parse(markdown):
        flat += [token] if token.children is None else [token, *token.children]
    return tuple(flat)


def text_of(output) -> str:
    """All that an output says in words: streams, errors, and the textual members of a bundle."""
    if output.output_type == "stream":
        return output.text
    if output.output_type == "error":
        return "\n".join([output.ename, output.evalue, *output.traceback])
    return "\n".join(
        str(value)
        for kind, value in output.data.items()
        if not kind.startswith(("image/png", "image/jpeg", "application/vnd"))
    )
