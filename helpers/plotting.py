"""Figures everybody can read: a palette safe for colour-blind people, alt text with the finding.

    names, calls = ["one", "two"], [3, 5]
    figure = bars(names, calls, ylabel="calls")
    show(figure, alt="Two takes 5 calls, one only 3.", data={"strategy": names, "calls": calls})

Matplotlib is imported only when the first figure is drawn. Where it cannot be had, show() gives the
numbers as a table and the alt text instead, and the notebook goes on.
"""

import base64
import html
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral

from helpers import browser

# Okabe and Ito, "Color Universal Design", 2008: told apart with every kind of colour vision.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#000000")
NOTE = {"textcoords": "offset points", "color": "#444444"}  # how a note beside a point looks
Names, Values = Sequence[str], Sequence[float]
DPI = 144  # drawn sharp, shown at 96
EMPTY_ALT = re.compile(
    r"(an? |the )?(bar |line )?(figure|plot|chart|graph|image|heatmap|timeline|diagram)\b.{0,25}",
    re.IGNORECASE,
)


def new_figure(width: float = 7.0, height: float = 3.0, columns: int = 1):
    """(figure, axes) in the course's style, sizes in inches; axes is a list where `columns` > 1.
    (None, None) without Matplotlib."""
    browser.fetch("matplotlib")
    try:
        import matplotlib
    except ImportError:
        return None, None
    from matplotlib.figure import Figure  # without pyplot: half the import, and nothing to close

    colours = matplotlib.cycler(color=PALETTE)
    style = {"axes.spines.top": False, "axes.spines.right": False, "font.size": 10}
    with matplotlib.rc_context({"axes.prop_cycle": colours, **style}):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(1, columns)
    return figure, list(axes) if columns > 1 else axes


def describe(figure, alt: str):
    """Give a figure its alt text and return it; `explore` shows such figures. Without Matplotlib,
    return the text itself.

    alt : the finding in a sentence, for people who do not see the picture: "Waits double until 8
        s", not "A line plot".

    Raises ValueError if `alt` is empty or only names the kind of picture.
    """
    alt = " ".join((alt or "").split())
    if len(alt) < 20 or EMPTY_ALT.fullmatch(alt):
        what = "alt text must state what the figure shows, in a sentence"
        raise ValueError(f"{what}; {alt!r} does not")
    if figure is None:
        return alt
    figure.alt = alt
    return figure


def show(figure, alt: str | None = None, data: Mapping[str, Sequence] | None = None) -> None:
    """Display a figure with its alt text.

    figure : what a function of this module (or new_figure) returned.
    alt : as for `describe`, and not needed for a figure that has one from there.
    data : {column: values}, the numbers behind it; shown as a table where Matplotlib cannot be had.

    Raises ValueError if `alt` is empty or only names the kind of picture.
    """
    from IPython.display import display

    if alt is None:
        alt = figure if isinstance(figure, str) else getattr(figure, "alt", "")
    if isinstance(figure, str):  # what `describe` made of it without Matplotlib
        figure = None
    describe(figure, alt)
    alt = " ".join(alt.split())
    if figure is None:
        numbers = table(list(data), zip(*data.values())) if data else ""
        shown = {"text/plain": alt, "text/html": f"{numbers}<p>{html.escape(alt)}</p>"}
        display(shown, raw=True)
        return
    picture = as_png(figure)
    width = round(figure.get_size_inches()[0] * 96)
    said = f"alt='{html.escape(alt, quote=True)}' style='max-width:100%' width='{width}'"
    tag = f"<img {said} src='data:image/png;base64,{picture}'>"
    shown = {"text/plain": alt, "text/html": tag, "image/png": picture}
    display(shown, metadata={"image/png": {"alt": alt}}, raw=True)


def as_png(figure) -> str:
    """The figure as PNG in base64, without the date and version that would change it from run to
    run."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return base64.b64encode(buffer.getvalue()).decode()


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as lines of text, one under the other."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    padded = ([cell.ljust(width) for cell, width in zip(row, widths)] for row in rows)
    return "\n".join("  ".join(row).rstrip() for row in padded)


def table(
    names: Names,
    rows: Iterable[Sequence],
    style: Callable[[str, str], str] | None = None,
    caption: str = "",
    folded: str = "",
) -> str:
    """An HTML table: the columns' names, and rows of cells.

    style(name, cell) : a cell's CSS. folded : the name of a column whose cells are HTML already.
    """

    def line(tag: str, cells: Sequence) -> str:
        shown = ""
        for name, cell in zip(names, map(str, cells)):
            css = f" style='{style(name, cell)}'" if style else ""
            shown += f"<{tag}{css}>{cell if name == folded else html.escape(cell)}</{tag[:2]}>"
        return f"<tr>{shown}</tr>"

    head, body = line("th scope='col'", names), "".join(line("td", row) for row in rows)
    caption = caption and f"<caption>{caption}</caption>"
    return f"<table>{caption}<thead>{head}</thead><tbody>{body}</tbody></table>"


def bars(
    labels: Names, values: Values, xlabel: str = "", ylabel: str = "", horizontal: bool = False
):
    """One bar a label, each with its value written on it."""
    figure, axes = new_figure(height=max(2.2, 0.4 * len(labels)) if horizontal else 3.0)
    if figure is None:
        return None
    drawn = axes.barh(labels, values) if horizontal else axes.bar(labels, values, width=0.6)
    if horizontal:
        axes.invert_yaxis()  # the first label on top, as it is read
    axes.bar_label(drawn, fmt=lambda value: f"{value:.3g}", padding=2)
    axes.margins(**{"x" if horizontal else "y": 0.12})
    axes.set(xlabel=xlabel, ylabel=ylabel)
    return figure


def lines(
    x: Values,
    series: Mapping[str, Values],
    xlabel: str = "",
    ylabel: str = "",
    mark: Mapping[str, float] | None = None,
    log: bool = False,
):
    """Lines over a shared x, named above them; `mark` draws named vertical lines, such as a
    break-even.

    log : both axes are logarithmic, for values from small to huge; all must be greater than 0.
    """
    figure, axes = new_figure(height=3.4)
    if figure is None:
        return None
    for (name, values), style in zip(series.items(), ("-", "--", "-.", ":") * 2):
        axes.plot(x, values, style, label=name, linewidth=2)
    for name, at in (mark or {}).items():
        axes.axvline(at, color="#666666", linewidth=1)
        axes.annotate(name, (at, 0.98), (4, 0), ("data", "axes fraction"), **NOTE, va="top")
    axes.set(xlabel=xlabel, ylabel=ylabel)
    if log:
        axes.set(xscale="log", yscale="log", xlim=(min(x), max(x)))
    elif min(min(values) for values in series.values()) >= 0:
        axes.set_ylim(bottom=0)  # an axis that begins higher makes small differences look large
    if len(series) > 1:  # outside: wherever it stood inside, some line would run through it
        figure.legend(frameon=False, loc="outside upper center", ncols=min(3, len(series)))
    return figure


def heatmap(
    matrix,
    labels: Names,
    columns: Names | None = None,
    low: float | None = None,
    high: float | None = None,
):
    """A matrix (rows x columns) with every value written in its cell; `low` and `high` fix the ends
    of the colour scale."""
    columns = labels if columns is None else columns
    figure, axes = new_figure(width=2.5 + 0.8 * len(columns), height=1.2 + 0.55 * len(labels))
    if figure is None:
        return None
    picture = axes.imshow(matrix, cmap="cividis", vmin=low, vmax=high, aspect="auto")
    axes.set_xticks(range(len(columns)), columns, rotation=30, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    middle = sum(picture.get_clim()) / 2
    for i, row in enumerate(matrix):
        for j, value in enumerate(row):
            text = str(value) if isinstance(value, Integral | str) else f"{value:.2f}"
            colour = "black" if value > middle else "white"
            axes.text(j, i, text, ha="center", va="center", color=colour)
    axes.spines[:].set_visible(False)
    return figure


def scatter(
    x: Values, y: Values, labels: Names = (), groups: Names = (), xlabel: str = "", ylabel: str = ""
):
    """One point for each pair of x and y, with its label beside it; points of one group share a
    colour and a shape."""
    figure, axes = new_figure(height=4.2)
    if figure is None:
        return None
    groups = list(groups) or [""] * len(x)
    for name, colour, shape in zip(dict.fromkeys(groups), PALETTE, "osD^vPX*"):
        mine = [i for i, group in enumerate(groups) if group == name]
        points = [x[i] for i in mine], [y[i] for i in mine]
        axes.scatter(*points, s=45, color=colour, marker=shape, label=name, zorder=2)
    wide, tall = max(x) - min(x), max(y) - min(y)
    for i, label in enumerate(labels):
        others = [(x[j] - x[i], y[j] - y[i]) for j in range(len(x)) if j != i]
        # Of two close points the lower one has its label below, or one would cover the other.
        crowded = any(abs(right) < 0.2 * wide and 0 <= up < 0.05 * tall for right, up in others)
        place = (5, -12 if crowded else 4)
        axes.annotate(label, (x[i], y[i]), place, **NOTE, fontsize=8)
    axes.margins(0.12)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    if any(groups):
        place = {"loc": "upper center", "bbox_to_anchor": (0.5, 1.14)}
        axes.legend(frameon=False, ncols=len(set(groups)), **place)
    return figure


def timeline(
    moments: Mapping[str, Values],
    xlabel: str = "seconds since the request was sent",
    groups: Names = (),
):
    """One row a name, one tick for each moment (in seconds): when the pieces of a stream arrived.
    Rows of one group share a colour."""
    figure, axes = new_figure(height=1.2 + 0.5 * len(moments))
    if figure is None:
        return None
    groups = list(groups) or [""] * len(moments)
    of_group = dict(zip(dict.fromkeys(groups), PALETTE))
    look = {"linelengths": 0.6, "colors": [of_group[group] for group in groups]}
    axes.eventplot(list(moments.values()), lineoffsets=range(len(moments)), **look)
    axes.set_yticks(range(len(moments)), list(moments))
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.set_xlabel(xlabel)
    return figure


def waits(spans: Mapping[str, Sequence[tuple[float, float, str]]], xlabel: str = "seconds"):
    """One row a name, one block for each (start, end, kind) in seconds: what each strategy did
    when, coloured by kind."""
    figure, axes = new_figure(height=1.4 + 0.4 * len(spans))
    if figure is None:
        return None
    kinds = dict.fromkeys(kind for row in spans.values() for _, _, kind in row)
    for k, kind in enumerate(kinds):
        look = {"facecolors": PALETTE[k % 8], "hatch": ("", "///", "...", "xxx")[k % 4]}
        for i, row in enumerate(spans.values()):
            blocks = [(start, end - start) for start, end, its in row if its == kind]
            axes.broken_barh(blocks, (i - 0.35, 0.7), **look, edgecolor="white")
        axes.broken_barh([], (0, 0), **look, edgecolor="white", label=kind)  # for the legend
    axes.set_yticks(range(len(spans)), list(spans))
    axes.invert_yaxis()
    axes.set_xlabel(xlabel)
    figure.legend(frameon=False, loc="outside upper center", ncols=len(kinds))
    return figure
