"""Figures that everybody can read: one style, colours that colour-blind people can tell apart, a sentence beside each.

    fig = heatmap(similarities, labels)
    show(fig, alt="The two billing questions are closest (0.85); the greeting is far from both.")

`alt` states the finding, not the kind of picture: it is what a screen reader says, and it stands above the numbers
where Matplotlib cannot be had. Matplotlib is imported when the first figure is drawn, not before.
"""

import base64
import html
import io
import re
import sys
from collections.abc import Mapping, Sequence

# Okabe and Ito, "Color Universal Design" (2008): colours that stay apart in all common kinds of colour blindness.
BLUE, RED, GREEN, ORANGE, PINK, SKY, BLACK = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#000000"
PALETTE = [BLUE, RED, GREEN, ORANGE, PINK, SKY, BLACK]
MARKERS, DASHES = "osD^vPX", ["-", "--", "-.", ":"]             # nothing is told by its colour alone
STYLE = {"figure.facecolor": "white", "axes.facecolor": "white", "axes.spines.top": False, "axes.spines.right": False,
         "axes.grid": True, "axes.axisbelow": True, "grid.color": "#DDDDDD", "font.size": 10, "axes.titlesize": 11}
DPI = 144

NO_FINDING = re.compile(r"(an? |the )?([\w-]+ ){0,3}(figure|plot|chart|graph|diagram|heat ?map|time ?line|histogram|picture|image)s?\b.{0,40}", re.I)


class Numbers:
    """Stands in for a figure where Matplotlib is not installed: its numbers as rows, the first of them the headings."""

    alt = ""

    def __init__(self, rows: Sequence[Sequence]):
        self.rows = [[str(cell) for cell in row] for row in rows]

    def __str__(self) -> str:
        widths = [max(len(row[i]) for row in self.rows) for i in range(len(self.rows[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in self.rows]
        return "\n".join([self.alt, "", *lines] if self.alt else lines)

    def html(self) -> str:
        head = "".join(f"<th scope='col'>{html.escape(cell)}</th>" for cell in self.rows[0])
        body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in self.rows[1:])
        return f"<p>{html.escape(self.alt)}</p><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


# ---- showing -----------------------------------------------------------------------------------------------------


def describe(fig, alt: str):
    """Give a figure its text alternative and return it (for `explore`, which shows figures itself).

    Raises ValueError for a text that is empty, too short to state anything, or only names the kind of picture.
    """
    alt = " ".join((alt or "").split())
    if len(alt) < 20 or NO_FINDING.fullmatch(alt):
        raise ValueError(f"alt={alt!r} does not say what the figure shows. State what one should see in it, with its numbers: "
                         'alt="Waiting doubles with every attempt, from 1 to 16 seconds."')
    fig.alt = alt
    return fig


def show(fig, alt: str, data: Sequence[Sequence] | None = None) -> None:
    """Display a figure with its text alternative.

    fig : what a function of this module returned, or any Matplotlib figure; None where you had no Matplotlib to draw with.
    alt : what one should see in it, in a sentence, with its numbers.
    data : rows of numbers (the first one the headings) to show when `fig` is None.

    Raises ValueError for an alt text that states nothing.
    """
    from IPython.display import display

    fig = describe(Numbers(data or [[]]) if fig is None else fig, alt)
    if isinstance(fig, Numbers):
        display({"text/plain": str(fig), "text/html": fig.html()}, raw=True)
        return
    # HTML, because Jupyter gives a bare picture no alt text.
    width, height = (round(inches * 96) for inches in fig.get_size_inches())
    picture = f'<img alt="{html.escape(fig.alt)}" width="{width}" height="{height}" src="data:image/png;base64,{base64.b64encode(png(fig)).decode()}">'
    display({"text/plain": f"Figure: {fig.alt}", "text/html": picture}, raw=True)
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close(fig)             # or the notebook would show it a second time


def png(fig) -> bytes:
    """The figure as a PNG file."""
    file = io.BytesIO()
    fig.savefig(file, format="png", dpi=DPI, metadata={"Software": None})
    return file.getvalue()


def canvas(width: float = 6.4, height: float = 3.2):
    """(figure, axes) in the course's style, `width` × `height` inches, for a drawing of your own.

    Raises ImportError where Matplotlib is not installed.
    """
    import matplotlib
    from matplotlib.figure import Figure                        # no pyplot: nothing to close, half the import

    with matplotlib.rc_context(STYLE):
        fig = Figure(figsize=(width, height), layout="constrained")
        return fig, fig.subplots()


# ---- the figures -------------------------------------------------------------------------------------------------


def heatmap(matrix, labels: Sequence[str], columns: Sequence[str] | None = None, digits: int = 2, title: str = ""):
    """A table of numbers in colour, each number written in its cell.

    matrix : rows × columns numbers. labels : a name for each row. columns : for each column, the same if left out.
    Raises ValueError where names and numbers do not fit together.
    """
    columns = labels if columns is None else columns
    matrix = [[float(value) for value in row] for row in matrix]
    if len(matrix) != len(labels) or any(len(row) != len(columns) for row in matrix):
        raise ValueError(f"heatmap: {len(labels)} row and {len(columns)} column names for {len(matrix)} rows of {sorted({len(r) for r in matrix})} numbers")
    numbers = [["", *columns], *([label, *(f"{value:.{digits}f}" for value in row)] for label, row in zip(labels, matrix))]
    made = _made(1.6 + 0.95 * len(columns) + 0.07 * max(map(len, labels)), 1.2 + 0.42 * len(labels), numbers)
    if isinstance(made, Numbers):
        return made
    fig, axes = made
    image = axes.imshow(matrix, cmap="cividis", aspect="auto")
    for y, row in enumerate(matrix):
        for x, value in enumerate(row):
            red, green, blue, _ = image.to_rgba(value)
            bright = 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2 > 0.18    # WCAG: where black contrasts more
            axes.text(x, y, f"{value:.{digits}f}", ha="center", va="center", color="black" if bright else "white")
    slanted = max(map(len, columns)) > 9
    axes.set_xticks(range(len(columns)), columns, rotation=30 if slanted else 0, ha="right" if slanted else "center")
    axes.set_yticks(range(len(labels)), labels)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.set_title(title)
    return fig


def timeline(streams, title: str = "", texts: bool = True):
    """When each piece of a stream arrived, one line a stream.

    streams : [(seconds, text), …] or {name: [(seconds, text), …], …}.
    texts : write the pieces at their moments, where there are few enough to read.
    """
    streams = streams if isinstance(streams, Mapping) else {"": streams}
    numbers = [["stream", "seconds", "piece"], *([name, f"{at:.3f}", text] for name, events in streams.items() for at, text in events)]
    made = _made(7.2, 1.3 + 0.75 * len(streams), numbers)
    if isinstance(made, Numbers):
        return made
    fig, axes = made
    for y, (name, events) in enumerate(streams.items()):
        moments = [at for at, _ in events]
        colour = PALETTE[y % len(PALETTE)]
        axes.hlines(y, 0, max(moments, default=0), color=colour, linewidth=1)
        axes.plot(moments, [y] * len(moments), MARKERS[y % len(MARKERS)], color=colour, markersize=5)
        if moments:
            axes.annotate(f"first after {moments[0]:.2f} s", (moments[0], y), (0, -13), textcoords="offset points", fontsize=8, ha="left")
        if texts and len(events) <= 25:
            for at, text in events:
                axes.annotate(text.strip() or "␣", (at, y), (0, 7), textcoords="offset points", fontsize=8, rotation=45)
    axes.set_yticks(range(len(streams)), streams)
    axes.set_ylim(len(streams) - 0.4, -0.75)
    axes.set_xlim(left=0)
    axes.set_xlabel("seconds since the request")
    axes.grid(axis="y", visible=False)
    axes.set_title(title)
    return fig


def bars(values: Mapping[str, float], unit: str = "", digits: int = 2, title: str = ""):
    """One bar a name, in the given order, with its number beside it. `unit` names what is counted."""
    numbers = [["", unit], *([name, f"{value:.{digits}f}"] for name, value in values.items())]
    made = _made(6.4, 1.0 + 0.36 * len(values), numbers)
    if isinstance(made, Numbers):
        return made
    fig, axes = made
    drawn = axes.barh(list(values), list(values.values()), color=BLUE, height=0.6)
    axes.bar_label(drawn, fmt=f"%.{digits}f", padding=4)
    axes.margins(x=0.12)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(unit)
    axes.set_title(title)
    return fig


def lines(series: Mapping[str, Sequence[tuple[float, float]]], x: str, y: str, title: str = "", marks: Mapping[str, float] | None = None,
          log: bool = False):
    """Lines over a common axis: costs that cross, accuracy over a threshold.

    series : {name: [(x, y), …], …}. x, y : what is measured along each axis, with its unit.
    marks : {name: x} draws an upright line at x, for example where two costs are equal. log : both axes logarithmic.
    """
    numbers = [["", x, y], *([name, f"{a:g}", f"{b:g}"] for name, points in series.items() for a, b in points)]
    made = _made(6.4, 3.4, numbers)
    if isinstance(made, Numbers):
        return made
    fig, axes = made
    for place, (name, points) in enumerate(series.items()):
        few = len(points) <= 12
        axes.plot(*zip(*points), DASHES[place % len(DASHES)], color=PALETTE[place % len(PALETTE)], label=name,
                  marker=MARKERS[place % len(MARKERS)] if few else None, markersize=5, linewidth=2)
    if log:
        axes.set_xscale("log")
        axes.set_yscale("log")
    for name, at in (marks or {}).items():
        axes.axvline(at, color=BLACK, linewidth=1, linestyle=":")
        axes.annotate(name, (at, 1), (4, -4), xycoords=("data", "axes fraction"), textcoords="offset points", va="top", fontsize=9)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if len(series) > 1:
        fig.legend(loc="outside upper center", frameon=False, ncols=min(len(series), 4))
    axes.set_title(title)
    return fig


def points(groups: Mapping[str, Mapping[str, tuple[float, float]]], x: str = "", y: str = "", title: str = ""):
    """Named points in the plane: texts on a map of meaning, models by price and speed. groups : {group: {name: (x, y)}}."""
    numbers = [["group", "", x or "x", y or "y"], *([group, name, f"{a:g}", f"{b:g}"] for group, named in groups.items() for name, (a, b) in named.items())]
    made = _made(6.4, 4.4, numbers)
    if isinstance(made, Numbers):
        return made
    fig, axes = made
    for place, (group, named) in enumerate(groups.items()):
        axes.plot(*zip(*named.values()), MARKERS[place % len(MARKERS)], color=PALETTE[place % len(PALETTE)], label=group, markersize=7)
        for name, at in named.items():
            axes.annotate(name, at, (6, 3), textcoords="offset points", fontsize=8)
    axes.margins(0.15)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if len(groups) > 1:
        fig.legend(loc="outside upper center", frameon=False, ncols=min(len(groups), 4))
    axes.set_title(title)
    return fig


OUTCOMES = {"answered": ("o", GREEN), "refused": ("X", RED), "broken": ("v", ORANGE), "gave up": ("s", BLACK)}


def waits(attempts: Mapping[str, Sequence[tuple[float, str]]], windows: Sequence[float] = (), title: str = ""):
    """The attempts of callers or strategies over time, one line each; what lies between two attempts is waiting.

    attempts : {name: [(seconds, outcome), …]}; outcomes: "answered", "refused", "broken", "gave up".
    windows : moments at which a rate limit's window begins anew, drawn as upright lines.
    Raises ValueError for another outcome.
    """
    if unknown := {outcome for tries in attempts.values() for _, outcome in tries} - set(OUTCOMES):
        raise ValueError(f"waits: no outcome is called {', '.join(sorted(unknown))}; there are {', '.join(OUTCOMES)}")
    numbers = [["", "seconds", "outcome"], *([name, f"{at:.2f}", outcome] for name, tries in attempts.items() for at, outcome in tries)]
    made = _made(7.2, 1.5 + 0.34 * len(attempts), numbers)
    if isinstance(made, Numbers):
        return made
    fig, axes = made
    for at in windows:
        axes.axvline(at, color=SKY, linewidth=1.5, linestyle="--", label="new window" if at == windows[0] else None)
    for row, tries in enumerate(attempts.values()):
        moments = [at for at, _ in tries]
        axes.hlines(row, min(moments, default=0), max(moments, default=0), color="#999999", linewidth=1.5, zorder=1)
    for outcome, (marker, colour) in OUTCOMES.items():
        places = [(at, row) for row, tries in enumerate(attempts.values()) for at, what in tries if what == outcome]
        if places:
            axes.plot(*zip(*places), marker, color=colour, label=outcome, markersize=7, zorder=2)
    axes.set_yticks(range(len(attempts)), attempts)
    axes.set_ylim(len(attempts) - 0.4, -0.6)
    axes.set_xlim(left=min(0, axes.get_xlim()[0]))
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("seconds")
    fig.legend(loc="outside upper center", frameon=False, ncols=5)
    axes.set_title(title)
    return fig


def _made(width: float, height: float, numbers: list[list]):
    """(figure, axes), or the numbers where Matplotlib is not installed."""
    try:
        return canvas(width, height)
    except ImportError:
        return Numbers(numbers)
