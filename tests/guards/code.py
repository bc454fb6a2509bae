"""Is the learner's code what anybody would write? What it may import, and must not pass."""

import ast
import re
import sys
import tomllib

from guards import ROOT, calls, code_cells, syntax, tags

IMPORTED_AS = {"pillow": "PIL", "huggingface-hub": "huggingface_hub"}
COME_WITH = {"IPython", "pydantic", "google"}  # with ipykernel, with openai, with Colab
NAMES = re.compile(r"^[A-Za-z0-9._-]+")


def importable() -> set[str]:
    """Modules a notebook may import: the standard library, the declared dependencies, helpers."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [NAMES.match(line).group().lower() for line in project["dependencies"]]
    declared = {name.replace("_", "-") for name in names}
    modules = {IMPORTED_AS.get(name, name.replace("-", "_")) for name in declared}
    return modules | COME_WITH | {"helpers"} | set(sys.stdlib_module_names)


def imports(notebook, allowed: set[str]) -> list[str]:
    """A notebook imports what every learner has, and of the course only helpers."""
    problems = []
    for where, tree in _trees(notebook):
        for node in ast.walk(tree):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            problems += [
                f"{where}: imports {name}, which is not a dependency of the course"
                for name in names
                if name.split(".")[0] not in allowed
            ]
            if isinstance(node, ast.ImportFrom) and node.level:
                problems.append(f"{where}: a relative import; notebooks are not in a package")
    return problems


def canonical(notebook) -> list[str]:
    """No client is given a transport, or an address of this machine, for the recordings' sake."""
    problems = []
    for where, tree in _trees(notebook):
        for name, call in calls(tree):
            passed = {keyword.arg: keyword.value for keyword in call.keywords}
            problems += [
                f"{where}: {name}({word}=…): the recordings need none"
                for word in ("http_client", "transport")
                if word in passed
            ]
            if name == "set_client_factory":
                problems.append(f"{where}: set_client_factory(): the recordings need none")
            address = passed.get("base_url")
            said = str(address.value) if isinstance(address, ast.Constant) else ""
            if re.search(r"127\.0\.0\.1|localhost", said):
                cure = "learners copy this; use the service's address"
                problems.append(f"{where}: base_url={said!r}: {cure}")
    return problems


def _trees(notebook):
    for where, cell in code_cells(notebook):
        if {"nbval-skip"} & set(tags(cell)):
            continue  # an optional cell, run only where its package is
        try:
            yield where, syntax(cell.source)
        except SyntaxError:
            continue


GUARDS = (canonical,)
