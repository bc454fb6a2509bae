"""Figures: drawn, described, and replaced by their numbers where Matplotlib is missing."""

import base64
import io
import sys

import pytest
from PIL import Image

from helpers import plotting

TWO, UNIT = ["one", "two"], [[1.0, 0.5], [0.5, 1.0]]
LINES = {"a": [0, 1, 2], "b": [1, 1, 1]}
WAITS = {"herd": [(0, 1, "call"), (1, 3, "wait")], "spread": [(0, 1, "call")]}
POINTS = [0, 1, 2], [2, 1, 0], ["a", "b", "c"], ["g", "g", "h"]
EXAMPLES = {
    "bars": lambda: plotting.bars(TWO, [3, 5], xlabel="strategy", ylabel="calls"),
    "bars lying": lambda: plotting.bars(TWO, [0.3, 0.5], xlabel="cosine", horizontal=True),
    "lines": lambda: plotting.lines([0, 1, 2], LINES, "x", "y", mark={"break-even": 1}),
    "heatmap": lambda: plotting.heatmap(UNIT, ["first", "second"], low=0, high=1),
    "scatter": lambda: plotting.scatter(*POINTS, "x", "y"),
    "timeline": lambda: plotting.timeline({"stream": [0.1, 0.2, 0.4]}),
    "waits": lambda: plotting.waits(WAITS),
}
every_figure = pytest.mark.parametrize("draw", EXAMPLES.values(), ids=EXAMPLES)
ALT = "Two takes 5 calls, one takes 3."


@pytest.fixture
def shown(monkeypatch):
    """What show() displays: [(data, metadata), …]."""
    found = []
    display = lambda data, metadata=None, raw=False: found.append((data, metadata))
    monkeypatch.setattr("IPython.display.display", display)
    return found


@pytest.fixture
def without_matplotlib(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)


@every_figure
def test_every_figure_is_drawn_with_something_in_it(draw):
    picture = Image.open(io.BytesIO(base64.b64decode(plotting.as_png(draw())))).convert("L")
    assert picture.width > 300 and len(picture.getcolors(256)) > 20


def test_the_same_figure_is_the_same_file():
    assert plotting.as_png(EXAMPLES["bars"]()) == plotting.as_png(EXAMPLES["bars"]())


def test_it_is_shown_once_with_its_alt_text(shown):
    plotting.show(EXAMPLES["bars"](), alt='Two takes 5 calls,\n  one takes 3 & "none" 0.')
    [(data, metadata)] = shown
    assert data["text/plain"] == 'Two takes 5 calls, one takes 3 & "none" 0.'
    assert "alt='Two takes 5 calls, one takes 3 &amp; &quot;none&quot; 0.'" in data["text/html"]
    assert metadata["image/png"]["alt"] == data["text/plain"]


@pytest.mark.parametrize(
    "alt", ["", None, "Figure", "A bar chart of the calls", "the heatmap", "short"]
)
def test_alt_text_that_states_nothing_is_refused(alt, shown):
    with pytest.raises(ValueError, match="alt text must state"):
        plotting.show(EXAMPLES["bars"](), alt=alt)
    with pytest.raises(ValueError, match="alt text must state"):
        plotting.describe(EXAMPLES["bars"](), alt)
    assert shown == []


@every_figure
def test_without_matplotlib_the_numbers_and_the_finding_are_shown(draw, shown, without_matplotlib):
    figure = draw()
    assert figure is None
    plotting.show(figure, alt=ALT, data={"strategy": ["one", "<two>"], "calls": [3, 5]})
    [(data, _)] = shown
    assert data["text/plain"] == ALT
    assert "<th scope='col'>calls</th>" in data["text/html"] and "<td>5</td>" in data["text/html"]
    assert "&lt;two&gt;" in data["text/html"] and ALT in data["text/html"]


def test_a_described_figure_brings_its_alt_text(shown):
    plotting.show(plotting.describe(EXAMPLES["bars"](), ALT))
    [(data, metadata)] = shown
    assert data["text/plain"] == metadata["image/png"]["alt"] == ALT


def test_without_matplotlib_a_described_figure_is_its_text(shown, without_matplotlib):
    plotting.show(plotting.describe(EXAMPLES["bars"](), ALT))
    [(data, _)] = shown
    assert data == {"text/plain": ALT, "text/html": f"<p>{ALT}</p>"}


def test_lines_start_at_zero_unless_values_lie_below_it():
    assert plotting.lines([0, 1], {"a": [3.1, 3.9]}).axes[0].get_ylim()[0] == 0
    assert plotting.lines([0, 1], {"a": [-1, 3]}).axes[0].get_ylim()[0] < -1


def test_logarithmic_lines_fill_their_axes():
    lines = {"a": [0.5, 40, 3000], "b": [7, 7, 7]}
    axes = plotting.lines([10, 1000, 100_000], lines, log=True).axes[0]
    (low, high), (left, right) = axes.get_ylim(), axes.get_xlim()
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert 0.1 < low < 0.5 and 3000 < high < 30_000 and (left, right) == (10, 100_000)


def test_rows_of_a_timeline_share_a_colour_by_group():
    rows = {"a, answered": [0.1], "a, refused": [0.2], "b, answered": [0.3]}

    def colours(**groups):
        drawn = plotting.timeline(rows, **groups).axes[0].collections
        return [tuple(row.get_color()) for row in drawn]

    first, second, third = colours(groups=["answered", "refused", "answered"])
    assert first == third != second
    assert len(set(colours())) == 1
