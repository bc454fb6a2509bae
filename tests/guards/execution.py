"""Was the notebook really run, can its outputs be compared, and would a failure be seen?"""

import ast
import re

from guards import calls, code_cells, syntax, tags, text_of

# Everything else that begins with % or ! may fail, or not exist, without a test noticing.
MAGICS = {"matplotlib", "config"}
UNCOMPARED = {"NBVAL_IGNORE_OUTPUT", "NBVAL_SKIP", "nbval-ignore-output", "nbval-skip"}
REASON = re.compile(r"^\s*#\s*not (compared|run): \S+(\s+\S+){2,}", re.MULTILINE)
AS_PRINTS = "its output is compared as plain prints: use helpers.widgets.explore"
NOT_COMPARABLE = dict.fromkeys(("interact", "interactive", "interactive_output"), AS_PRINTS) | {
    "clear_output": "the comparison never clears: print pieces as they come instead",
    "update_display": "only the first value is compared: display once",
}
IN_OUTPUT = (
    "printing inside an Output widget is compared as plain prints: set the value of an HTML widget"
)
PICTURE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/=]+")
IN_OUTPUTS = {
    r"ipykernel_\d+|[^\s\"'(]*site-packages": "a path of the machine that ran it",
    r"(?<![\w.])(/(home|Users|work|root|tmp|var|private)/\w|[A-Z]:\\\\?\w)": (
        "a path of the machine that ran it"
    ),
    r"\b\w*Warning: ": "a warning; mend its cause",
    r"CPU times:|Wall time:|\d+(\.\d+)?\s?it/s\b|±.*per loop": (
        "a time that differs on every run; take times from session.log"
    ),
    r"<[^>]*\bat 0x[0-9a-fA-F]{6,}>": "an address in memory",
}


def executed(notebook) -> list[str]:
    """Run from top to bottom in one go: counts 1..n. nbval skips what a cell without one shows."""
    counts = [cell.execution_count for _, cell in code_cells(notebook)]
    empty = [where for where, cell in code_cells(notebook) if not cell.source.strip()]
    problems = [f"{where}: empty code cell; delete it" for where in empty]
    if counts != list(range(1, len(counts) + 1)):
        problems.append(
            f"execution counts are {counts}, not 1 to {len(counts)}: run the whole notebook once,"
            " from a fresh kernel"
        )
    return problems


def outputs_kept(notebook) -> list[str]:
    """A cell that prints, or ends in a value, shows something; else the outputs were stripped."""
    cells = list(code_cells(notebook))
    if cells and not any(cell.outputs for _, cell in cells):
        return ["no cell has an output: they were stripped"]
    problems = []
    for where, cell in cells:
        if cell.outputs or not cell.source.strip() or cell.source.rstrip().endswith(";"):
            continue
        body = syntax(cell.source).body
        alone = [node.value for node in body if isinstance(node, ast.Expr)]
        called = [node.func for node in alone if isinstance(node, ast.Call)]
        prints = any(getattr(function, "id", "") == "print" for function in called)
        last = body[-1].value if body and isinstance(body[-1], ast.Expr) else None
        ends_in_value = last and not isinstance(last, (ast.Call, ast.Await))
        if prints or ends_in_value:
            problems.append(f"{where}: shows something when it runs, but has no output here")
    return problems


def no_hidden_failures(notebook) -> list[str]:
    """No magic or shell line whose failure nbval would not see."""
    problems = []
    for where, cell in code_cells(notebook):
        try:
            tree = syntax(cell.source)
        except SyntaxError as error:
            if "raises-exception" not in tags(cell):
                problems.append(f"{where}: not Python ({error.msg})")
            continue
        guarded = {
            id(node)
            for branch in ast.walk(tree)
            if isinstance(branch, ast.If) and "google.colab" in ast.unparse(branch.test)
            for node in ast.walk(branch)
        }
        for name, call in calls(tree):
            magic = name in ("run_line_magic", "run_cell_magic") and id(call) not in guarded
            if magic and (word := call.args[0].value) not in MAGICS:
                problems.append(
                    f"{where}: %{word}: an unknown or failing magic passes the tests; allowed:"
                    f" {', '.join(sorted(MAGICS))}"
                )
            if name in ("system", "getoutput") and "get_ipython" in ast.unparse(call.func):
                problems.append(f"{where}: a shell line that fails passes the tests; use Python")
    return problems


def errors_meant(notebook) -> list[str]:
    """An error output only where the cell says that it raises, and the other way round."""
    problems = []
    for where, cell in code_cells(notebook):
        raised = any(output.output_type == "error" for output in cell.outputs)
        meant = bool({"raises-exception", "nbval-raises-exception"} & set(tags(cell)))
        if raised and not meant:
            problems.append(f"{where}: ends in an error without the tag raises-exception")
        if meant and not raised:
            problems.append(f"{where}: has the tag raises-exception, but no error is shown")
    return problems


def comparisons_kept(notebook) -> list[str]:
    """A cell that is not compared says why, in a line `# not compared: …` (or `# not run: …`)."""
    problems = []
    for where, cell in code_cells(notebook):
        lines = {line.strip().lstrip("#").strip() for line in cell.source.splitlines()}
        marked = UNCOMPARED & (lines | set(tags(cell)))
        if marked and not REASON.search(cell.source):
            problems.append(
                f"{where}: {', '.join(sorted(marked))} without a line `# not compared: <reason>`"
                " (or `# not run: <reason>`)"
            )
    return problems


def outputs_comparable(notebook) -> list[str]:
    """Nothing in the outputs that only this machine or this minute would say."""
    problems = []
    for where, cell in code_cells(notebook):
        for output in cell.outputs:
            # The patterns are slow over a picture, and find nothing in one.
            said = PICTURE.sub("PICTURE", text_of(output))
            for pattern, why in IN_OUTPUTS.items():
                if found := re.search(pattern, said):
                    problems.append(f"{where}: its output holds {found.group().strip()!r}, {why}")
    return problems


def no_uncomparable_widgets(notebook) -> list[str]:
    """No display that a strict comparison gets wrong."""
    problems = []
    for where, cell in code_cells(notebook):
        if UNCOMPARED & set(tags(cell)):
            continue  # comparisons_kept asks for the reason
        try:
            tree = syntax(cell.source)
        except SyntaxError:
            continue  # no_hidden_failures says so
        problems += [
            f"{where}: {name}(): {NOT_COMPARABLE[name]}"
            for name, _ in calls(tree)
            if name in NOT_COMPARABLE
        ]
        for node in ast.walk(tree):
            within = []
            if isinstance(node, (ast.With, ast.AsyncWith)):
                within = [item.context_expr for item in node.items]
            elif isinstance(node, ast.FunctionDef):
                around = [d for d in node.decorator_list if "capture" in ast.unparse(d)]
                within = [getattr(getattr(d, "func", d), "value", None) for d in around]
            used = [one for one in within if _is_output(one, notebook)]
            problems += [f"{where}: {IN_OUTPUT}" for _ in used]
    return problems


def metadata_lean(notebook) -> list[str]:
    """No stored widget state, no times of execution: they change on every run."""
    problems = []
    if "widgets" in notebook.metadata:
        problems.append("metadata.widgets: stored widget state; clear it")
    timed = [where for where, cell in code_cells(notebook) if "execution" in cell.metadata]
    problems += [f"{where}: metadata.execution: times of execution; clear them" for where in timed]
    name = notebook.metadata.get("kernelspec", {}).get("name")
    return problems if name == "python3" else [*problems, f"kernelspec is {name!r}, not 'python3'"]


def _is_output(expression: ast.AST | None, notebook) -> bool:
    """Is this an ipywidgets Output: made here, or a name that some cell gave to one?"""
    if isinstance(expression, ast.Call):
        return getattr(expression.func, "attr", getattr(expression.func, "id", "")) == "Output"
    if not isinstance(expression, ast.Name):
        return False
    made = rf"^\s*{re.escape(expression.id)}\s*=\s*(\w+\.)?Output\("
    return any(re.search(made, cell.source, re.MULTILINE) for _, cell in code_cells(notebook))


GUARDS = (
    executed,
    outputs_kept,
    no_hidden_failures,
    errors_meant,
    comparisons_kept,
    outputs_comparable,
    no_uncomparable_widgets,
    metadata_lean,
)
