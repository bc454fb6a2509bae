"""What is wrong with what a browser shows: each function returns the problems as sentences, [] if
there are none."""

PANEL = ".jp-NotebookPanel:not(.lm-mod-hidden)"
# Our own: the text and the outputs. The rest of the page is JupyterLab's.
OURS = [f"{PANEL} .jp-RenderedMarkdown", f"{PANEL} .jp-Cell-outputArea"]
# ipywidgets draws a slider's handle without a name, in 7 and in 8, and gives no way to name it.
# What it says is in the label beside it, and every explorer has a plain-cell way. The colours of
# code and of tracebacks are JupyterLab's.
NOT_OURS = [
    ".noUi-handle",
    "[class^='ansi-']",
    ".jp-RenderedText span[style]",
    ".jp-RenderedMarkdown pre",
]
# JupyterLab's own style: links without a line under them, and the scrolling box around a wide
# table, to which Chromium itself gives the keyboard's focus.
RULES = {name: {"enabled": False} for name in ("link-in-text-block", "scrollable-region-focusable")}
# JupyterLab's body has no height and hides what reaches beyond it; axe would take everything for
# invisible.
TRIES = 15  # looks at a page in which axe finds no text, a second apart
BODY = "html, body { height: 100% }"
PICTURES = """area => [...area.querySelectorAll('.jp-OutputArea img')].map(image => ({
    alt: image.alt, drawn: image.complete && image.naturalWidth > 0,
    right: image.getBoundingClientRect().right,
    edge: image.closest('.jp-OutputArea').getBoundingClientRect().right,
    cell: image.closest('.jp-Cell').dataset.windowedListIndex,
}))"""
CLIPPED = """area => [
  ...area.querySelectorAll('.jp-OutputArea-output, .jp-OutputArea-output *')
].filter(element => {
    const style = getComputedStyle(element);
    return element.scrollWidth > element.clientWidth + 1
        && element.clientWidth > 0 && style.overflowX === 'hidden'
        && style.display !== 'inline' && !element.closest('svg, .noUi-target');
}).map(element => [
  element.closest('.jp-Cell').dataset.windowedListIndex, element.className,
  element.textContent.slice(0, 60)])"""


def errors(notebook) -> list[str]:
    """Cells that did not run, raised without being meant to, or could not draw their widget."""
    found = []
    for i, cell in enumerate(notebook.cells()):
        if cell["cell_type"] != "code":
            continue
        if cell["execution_count"] is None:
            found.append(f"cell {i} did not run")
        meant = "raises-exception" in cell["metadata"].get("tags", [])
        for output in cell["outputs"]:
            if output["output_type"] == "error" and not meant:
                found.append(f"cell {i}: {output['ename']}: {output['evalue'][:200]}")
    for text in ("Error displaying widget", "Loading widget", "Error creating widget"):
        found += [f"{text!r} is shown"] * notebook.panel.get_by_text(text).count()
    return found


def pictures(notebook) -> list[str]:
    """Pictures that are not drawn, have no words instead, or reach beyond their cell."""
    found = []
    for picture in notebook.panel.evaluate(PICTURES):
        where = f"cell {picture['cell']}, picture {picture['alt'][:40]!r}"
        if not picture["drawn"]:
            found.append(f"{where}: not drawn")
        if len(picture["alt"]) < 20:
            found.append(f"{where}: the alt text says nothing")
        if picture["right"] > picture["edge"] + 1:
            found.append(f"{where}: {picture['right'] - picture['edge']:.0f} pixels are cut off")
    return found


def clipped(notebook) -> list[str]:
    """Text in our outputs that is cut off at its right, where nothing can be scrolled."""
    return [
        f"cell {cell}: cut off: {text!r} ({name})"
        for cell, name, text in notebook.panel.evaluate(CLIPPED)
    ]


def barriers(notebook) -> list[str]:
    """What axe-core calls serious or critical in our text and outputs, as far as they are in the
    window: see `unrolled`."""
    notebook.page.add_style_tag(content=BODY)
    for _ in range(TRIES):  # while a theme is being loaded, nothing has its place yet
        result = _axe(notebook)
        looked = {rule["id"] for kind in ("passes", "violations") for rule in result.response[kind]}
        if "color-contrast" in looked:
            break
        notebook.page.wait_for_timeout(1000)
    else:
        raise AssertionError("axe saw no text at all")
    grave = [
        violation
        for violation in result.response["violations"]
        if violation["impact"] in ("serious", "critical")
    ]
    return [
        f"cell {_cell(notebook, node)}: {violation['id']}: {node['html'][:160]}:"
        f" {'; '.join(m['message'] for m in node['any'] + node['all'])}"
        for violation in grave
        for node in violation["nodes"]
    ]


def _axe(notebook):
    from axe_playwright_python.sync_playwright import Axe

    shown = [selector for selector in OURS if notebook.page.locator(selector).count()]
    context = {
        "include": [[selector] for selector in shown],
        "exclude": [[selector] for selector in NOT_OURS],
    }
    return Axe().run(
        notebook.page, context=context, options={"resultTypes": ["violations"], "rules": RULES}
    )


def _cell(notebook, node) -> str | None:
    return notebook.page.locator(node["target"][0]).first.evaluate(
        "element => element.closest('.jp-Cell')?.dataset.windowedListIndex"
    )
