"""Figures: drawn, described, shown with alt text, and replaced by their numbers where Matplotlib is missing."""

import html
import io
import re
import subprocess
import sys
from functools import cache
from unittest import mock

import pytest
from PIL import Image

from helpers import plotting
from helpers.plotting import bars, canvas, describe, heatmap, lines, png, points, show, timeline, waits

FINDING = "Billing questions resemble each other (0.85), the greeting none of them."
FIGURES = {
    "heatmap": lambda: heatmap([[1, 0.85], [0.85, 1]], ["cancel my plan", "stop <it>"]),
    "confusion": lambda: heatmap([[9, 1, 0], [2, 7, 1]], ["a", "b"], columns=["x", "y", "z"], digits=0, title="t"),
    "one value": lambda: heatmap([[1]], ["only"]),
    "timeline": lambda: timeline([(0.4, "The"), (0.5, " sky"), (0.61, "\n")]),
    "timelines": lambda: timeline({"small": [(0.4, "a")], "big": [(0.9, "b")] * 40, "silent": []}),
    "bars": lambda: bars({"one a call": 3.2, "one batch": 0.2}, unit="seconds"),
    "lines": lambda: lines({"serverless": [(1, 1), (10, 10)], "endpoint": [(1, 5), (10, 5)]}, x="requests", y="$", marks={"equal": 5}, log=True),
    "one line": lambda: lines({"": [(0, 0.1), (1, 0.9)]}, x="threshold", y="accuracy"),
    "points": lambda: points({"billing": {"refund": (0, 1)}, "bugs": {"crash": (1, 0)}}, x="first", y="second"),
    "waits": lambda: waits({"old": [(0, "refused"), (7, "gave up")], "new": [(0, "refused"), (2, "broken"), (5, "answered")]}, windows=[0, 5]),
}
every_figure = pytest.mark.parametrize("name", FIGURES)


@pytest.fixture
def without_matplotlib(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)


def shown(fig, **more) -> dict:
    """The bundle that `show` displays."""
    with mock.patch("IPython.display.display") as display:
        show(fig, **({"alt": FINDING} | more))
    [((bundle,), how)] = display.call_args_list
    assert how == {"raw": True}
    return bundle


@cache
def drawn(name) -> Image.Image:
    return Image.open(io.BytesIO(png(FIGURES[name]()))).convert("RGB")


@every_figure
def test_it_is_drawn(name):
    picture = drawn(name)
    assert picture.width > 300 and picture.height > 100
    assert picture.getpixel((0, 0)) == (255, 255, 255) and len(picture.getcolors(2**24)) > 20


@every_figure
def test_nothing_is_cut_off_at_the_edges(name):
    picture = drawn(name).convert("L")
    edges = [picture.crop(box).getextrema()[0] for box in (
        (0, 0, picture.width, 1), (0, picture.height - 1, picture.width, picture.height), (0, 0, 1, picture.height))]
    assert all(darkest > 200 for darkest in edges), edges


@every_figure
def test_it_is_shown_with_its_alt_text(name):
    data = shown(FIGURES[name]())
    assert data["text/plain"] == f"Figure: {FINDING}" and set(data) == {"text/plain", "text/html"}
    [alt] = re.findall(r'<img alt="([^"]+)"', data["text/html"])
    assert html.unescape(alt) == FINDING
    assert 'src="data:image/png;base64,iVBOR' in data["text/html"]


def test_what_is_compared_is_the_same_on_every_run():
    bare = [re.sub(r"base64,[A-Za-z0-9+/=]+", "", shown(FIGURES["waits"]())["text/html"]) for _ in range(2)]
    assert bare[0] == bare[1] and not re.search(r"0x[0-9a-f]{6}|20\d\d-", bare[0])
    assert b"Software" not in png(FIGURES["bars"]())


@pytest.mark.parametrize("alt", ["", "   ", None, "a plot", "A line plot", "Heatmap of similarities", "Bar chart", "Figure 1", "The timeline of the stream.",
                                 "A scatter plot of price and speed", "too short", "an image showing the results"])
def test_an_alt_text_that_states_nothing_is_refused(alt):
    with pytest.raises(ValueError, match="does not say what the figure shows"):
        show(FIGURES["bars"](), alt=alt)


@pytest.mark.parametrize("alt", [FINDING, "Waiting doubles with every attempt, from 1 to 16 seconds.",
                                 "The figure falls until 30 requests a second, then it rises again to 2.4 seconds."])
def test_an_alt_text_that_states_a_finding_is_taken(alt):
    assert describe(FIGURES["bars"](), alt).alt == alt


def test_quotes_and_tags_in_an_alt_text():
    alt = 'The label "bug" is <b>chosen</b> 3 times & more'
    assert html.unescape(re.findall(r'alt="([^"]+)"', shown(FIGURES["bars"](), alt=alt)["text/html"])[0]) == alt


@every_figure
def test_without_matplotlib_the_numbers_are_shown(name, without_matplotlib):
    fig = FIGURES[name]()
    assert isinstance(fig, plotting.Numbers)
    data = shown(fig)
    assert data["text/plain"].startswith(FINDING + "\n\n") and "<table>" in data["text/html"] and html.escape(FINDING) in data["text/html"]
    assert len(fig.rows) > 1 and len({len(row) for row in fig.rows}) == 1
    assert str(describe(fig, FINDING)) == data["text/plain"]            # what explore() shows
    numbers = re.findall(r"\d", "".join(cell for row in fig.rows[1:] for cell in row))
    assert numbers and "stop <it>" not in data["text/html"]


def test_numbers_of_ones_own_without_matplotlib(without_matplotlib):
    with pytest.raises(ImportError):
        canvas()
    data = shown(None, data=[["model", "seconds"], ["small", 0.2]])
    assert "small  0.2" in data["text/plain"] and "<td>small</td><td>0.2</td>" in data["text/html"]


def test_names_and_numbers_that_do_not_fit():
    with pytest.raises(ValueError, match="2 row and 2 column names for 1 rows"):
        heatmap([[1, 2]], ["a", "b"])
    with pytest.raises(ValueError, match="no outcome is called lost"):
        waits({"a": [(0, "lost")]})


def test_matplotlib_comes_with_the_first_figure_and_pyplot_never():
    code = ("import sys; from helpers.plotting import bars, png; before = 'matplotlib' in sys.modules; png(bars({'a': 1})); "
            "print(before, 'matplotlib' in sys.modules, 'matplotlib.pyplot' in sys.modules)")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60).stdout.split() == ["False", "True", "False"]


def test_a_pyplot_figure_is_shown_once():
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    fig = plt.figure()
    assert "<img" in shown(fig)["text/html"] and fig.number not in plt.get_fignums()


def luminance(colour: str) -> float:
    parts = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    return sum(w * (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4) for w, p in zip((0.2126, 0.7152, 0.0722), parts))


def seen_by(colour: str, kind: str) -> tuple[float, float, float]:
    """A colour as people without red (protan), green (deutan) or blue (tritan) cones see it: Viénot 1999, Brettel 1997."""
    r, g, b = (int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5))
    matrix = {"protan": ((0.152, 1.053, -0.205), (0.115, 0.786, 0.099), (-0.004, -0.048, 1.052)),
              "deutan": ((0.367, 0.861, -0.228), (0.280, 0.673, 0.047), (-0.012, 0.043, 0.969)),
              "tritan": ((1.256, -0.077, -0.179), (-0.078, 0.931, 0.148), (0.005, 0.691, 0.304))}[kind]
    return tuple(x * r + y * g + z * b for x, y, z in matrix)


@pytest.mark.parametrize("kind", ["protan", "deutan", "tritan"])
def test_the_palette_stays_apart_for_colour_blind_people(kind):
    seen = [seen_by(colour, kind) for colour in plotting.PALETTE[:5]]
    distances = [sum((a - b) ** 2 for a, b in zip(one, other)) ** 0.5 for i, one in enumerate(seen) for other in seen[:i]]
    assert min(distances) > 0.1
    red, green = seen_by("#ff0000", "deutan"), seen_by("#8a8a00", "deutan")     # the guard can fail: these two are alike
    assert sum((a - b) ** 2 for a, b in zip(red, green)) ** 0.5 < 0.45


def test_the_palette_shows_on_white():
    assert [colour for colour in plotting.PALETTE if 1.05 / (luminance(colour) + 0.05) < 2.2] == []
