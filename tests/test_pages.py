"""Pages and slides: everything of every notebook is on them, nothing is asked of any address, and
everybody can read them."""

import html
import re
from html.parser import HTMLParser
from urllib.parse import unquote

import nbformat
import pytest
from chromium_fixtures import CHROMIUM, MISSING, chromium  # noqa: F401
from guards import LESSONS, notebooks, read
from guards.reading import headings_of

from authoring import npm, pages, slides

NBCONVERTS_FILLER = "No description has been provided"


class Seen(HTMLParser):
    """What an HTML file loads, links to, and shows."""

    def __init__(self, text: str):
        super().__init__()
        self.loads, self.links, self.ids, self.alts, self.headings, self.words, self._within = (
            [],
            [],
            set(),
            [],
            [],
            [],
            [],
        )
        self.feed(text)
        self.words = plain("".join(self.words))

    def handle_starttag(self, tag, attributes):
        about = dict(attributes)
        self.ids.add(about.get("id"))
        self._within.append(tag)
        self.loads += [
            address
            for name in ("src", "srcset", "poster")
            if (address := about.get(name)) and not address.startswith("data:")
        ]
        if tag == "link":
            self.loads.append(about.get("href"))
        if tag == "a" and "href" in about:
            self.links.append(about["href"])
        if tag == "img":
            self.alts.append(about.get("alt"))
        if re.fullmatch("h[1-6]", tag):
            self.headings.append([int(tag[1]), ""])
        if tag in ("img", "meta", "link", "br", "hr", "input"):
            self._within.pop()

    def handle_endtag(self, tag):
        while self._within and self._within.pop() != tag:
            pass

    def handle_data(self, data):
        if "style" in self._within:
            self.loads += re.findall(r"url\(\s*['\"]?(?!data:)([^)'\"]+)", data) + re.findall(
                r"@import[^;]+", data
            )
        if not {"script", "style"} & set(self._within):
            self.words.append(data)
        for tag in self._within:
            if re.fullmatch("h[1-6]", tag):
                self.headings[-1][1] += data


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """{name: (file, what it shows)} of all pages, built once."""
    out = tmp_path_factory.mktemp("pages")
    return {
        path.relative_to(out).as_posix(): (path, Seen(path.read_text(encoding="utf-8")))
        for path in pages.build(out=out)
    }


@pytest.fixture(scope="module")
def decks(site):
    """{lesson: (file, what it shows, number of slides)}, built once."""
    try:
        made = slides.build(out=site["index.html"][0].parent / "slides")
    except npm.NpmFailed as error:
        pytest.skip(str(error))
    return {
        path.stem: (path, Seen(path.read_text(encoding="utf-8")), number)
        for path, number in made.items()
    }


def plain(text: str) -> str:
    """Without white space: coloured code is cut into many pieces."""
    return "".join(text.split())


def outputs(notebook):
    return (
        output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs
    )


def missing(notebook, seen: Seen) -> list[str]:
    """What of a notebook's code, outputs and alt texts is not there."""
    notebook = pages.readable(notebook)
    wanted = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    wanted += [output.text for output in outputs(notebook) if output.output_type == "stream"]
    wanted += [
        output.data["text/plain"]
        for output in outputs(notebook)
        if set(output.get("data", {})) == {"text/plain"}
    ]
    absent = [
        text for text in wanted if plain(re.sub(r"\x1b\[[\d;]*m", "", text)) not in seen.words
    ]
    alts = [
        html.unescape(alt)
        for output in outputs(notebook)
        for alt in re.findall(r"alt='(.*?)'", output.get("data", {}).get("text/html", ""))
    ]
    return absent + [alt for alt in alts if alt not in seen.alts]


def poor(alts) -> list[str]:
    return [alt for alt in alts if not alt or len(alt) < 20 or NBCONVERTS_FILLER in alt]


# ---- the guards of this file refuse what they should -------------------------------------------


def test_the_guards_see_what_they_look_for():
    bad = Seen(
        "<h2>A <em>b</em></h2><script src='https://x/y.js'></script><style>@import 'z'; a"
        " {background: url(https://q/w.png)}</style><img src='data:,'><img alt='ok' src='/p'><link"
        " href='l.css'><a href='#n'>t</a><p id=n>seen</p>"
    )
    assert bad.loads == ["https://x/y.js", "https://q/w.png", "@import 'z'", "/p", "l.css"]
    assert (bad.alts, poor(bad.alts)) == ([None, "ok"], [None, "ok"]) and poor(
        [f"{NBCONVERTS_FILLER} for this image"]
    )
    assert (bad.links, bad.ids, bad.headings, bad.words) == (
        ["#n"],
        {None, "n"},
        [[2, "A b"]],
        "Abtseen",
    )
    cell = nbformat.v4.new_code_cell(
        "not_there()", outputs=[nbformat.v4.new_output("stream", text="nor this")]
    )
    assert missing(nbformat.v4.new_notebook(cells=[cell]), bad) == ["not_there()", "nor this"]


# ---- pages -------------------------------------------------------------------------------------


def test_every_notebook_has_a_page(site):
    assert set(site) == {"index.html", "GLOSSARY.html"} | {
        f"{path.parent.name}/{path.stem}.html" for path in notebooks()
    }


def test_pages_hold_all_that_the_notebooks_show(site):
    for path in notebooks():
        _, seen = site[f"{path.parent.name}/{path.stem}.html"]
        assert missing(read(path), seen) == [], path.name


def test_pages_load_nothing_and_their_pictures_speak(site):
    for name, (_, seen) in site.items():
        assert seen.loads == [], name
        assert poor(seen.alts) == [], name
    assert sum(len(seen.alts) for _, seen in site.values()) >= 39


def test_headings_are_those_of_the_notebook(site):
    for path in notebooks():
        said = [
            heading
            for cell in pages.readable(read(path)).cells
            if cell.cell_type == "markdown"
            for heading in headings_of(cell.source)
        ]
        _, seen = site[f"{path.parent.name}/{path.stem}.html"]
        assert [level for level, _ in seen.headings] == [level for level, _ in said], path.name
        assert plain(seen.headings[0][1]) == plain(said[0][1])


def test_links_lead_to_files_and_places_that_exist(site):
    followed = 0
    for name, (file, seen) in site.items():
        for link in seen.links:
            if re.match(r"https?:|mailto:", link):
                continue
            target, _, place = link.partition("#")
            there = (file.parent / unquote(target)).resolve() if target else file
            assert there.is_file(), f"{name} links to {link}"
            if place and there.suffix == ".html":
                assert unquote(place) in Seen(there.read_text(encoding="utf-8")).ids, (
                    f"{name} links to {link}"
                )
            followed += 1
    assert followed > 100


def test_the_index_is_readmes_table(site):
    readme = (pages.ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| \[(.+?)\]\(notebooks/(.+?)\.ipynb\) \|(.+?)\| (\d+) \| (\d+) \|$",
        readme,
        re.MULTILINE,
    )
    _, seen = site["index.html"]
    assert len(rows) == len(LESSONS)
    for said, stem, can, minutes, calls in rows:
        assert plain(f"{said} {can} {minutes} {calls}") in seen.words
        assert f"notebooks/{stem}.html" in seen.links


def test_what_is_for_running_is_left_out_and_no_picture_comes_from_elsewhere():
    new = nbformat.v4
    notebook = new.new_notebook(
        cells=[
            new.new_markdown_cell(
                "# T\n\n[![Open in X](https://x.example/badge.svg)](https://x.example/t),"
                " [there](../exercises/a.ipynb#b), [c](c.py)",
                id="a",
            ),
            new.new_markdown_cell("badges", id="badges"),
            new.new_code_cell("install()", id="setup"),
            new.new_code_cell("1", id="b"),
        ]
    )
    made = pages.readable(notebook)
    assert [cell.id for cell in made.cells] == ["a", "b"]
    assert (
        made.cells[0].source
        == "# T\n\n[Open in X](https://x.example/t), [there](../exercises/a.html#b), [c](c.py)"
    )
    assert notebook.cells[0].source != made.cells[0].source, "the notebook itself stays as it is"


# ---- slides ------------------------------------------------------------------------------------


def cut(*cells):
    """(type, cell) of the pieces of a notebook made of Markdown (str) and code (list: source,
    outputs…)."""
    new = nbformat.v4
    made = [
        (
            new.new_markdown_cell(cell)
            if isinstance(cell, str)
            else new.new_code_cell(
                cell[0], outputs=[new.new_output("stream", text=text) for text in cell[1:]]
            )
        )
        for cell in cells
    ]
    return [
        (cell.metadata.slideshow.slide_type, cell)
        for cell in slides.slides(new.new_notebook(cells=made)).cells
    ]


def test_headings_begin_slides_and_text_after_code_does():
    made = cut(
        "# T\n\nopening",
        ["a = 1"],
        ["a"],
        "Text.",
        ["b"],
        "## S\n\nmore",
        "### Part\n\nmore",
        "same slide",
    )
    assert [kind for kind, _ in made] == [
        "slide",
        "-",
        "-",
        "-",
        "subslide",
        "-",
        "slide",
        "-",
        "subslide",
        "-",
        "-",
    ]


def test_what_does_not_fit_goes_to_the_next_slide():
    long = "\n\n".join(f"{'word ' * 40}{i}" for i in range(12))
    kinds = [kind for kind, _ in cut(f"## S\n\n{long}")]
    assert kinds[0] == "slide" and 1 <= kinds.count("subslide") <= 3 and len(kinds) == 13
    (_, heading), *rest = cut("## S", ["x\n" * 12, "y\n" * 15])
    assert [(kind, bool(cell.source), bool(cell.outputs)) for kind, cell in rest] == [
        ("-", True, False),
        ("subslide", False, True),
    ]


def test_after_a_prediction_outputs_wait_for_a_key():
    made = cut(
        "## S\n\n**Predict:** what?",
        ["a", "1"],
        ["b", "2"],
        "So it is.",
        ["c", "3"],
        "and **predict** again",
        ["d", "4"],
    )
    assert [cell.metadata.revealed for _, cell in made if cell.cell_type == "code"] == [
        True,
        True,
        False,
        True,
    ]


def test_no_notebook_holds_anything_for_slides():
    assert not [
        path.name for path in notebooks() if '"slideshow"' in path.read_text(encoding="utf-8")
    ]


def test_decks_hold_all_that_the_lessons_show_and_load_nothing(decks):
    assert tuple(decks) == LESSONS
    for lesson, (_, seen, _) in decks.items():
        assert missing(read(pages.ROOT / "notebooks" / f"{lesson}.ipynb"), seen) == [], lesson
        assert seen.loads == [] and poor(seen.alts) == [], lesson
        assert {link for link in seen.links if not link.startswith("http")} <= {
            f"{other}.html" for other in LESSONS
        }


# ---- in a browser ------------------------------------------------------------------------------

needs_chromium = pytest.mark.skipif(not CHROMIUM, reason=MISSING)


@pytest.fixture(scope="module")
def show(request):
    """show(file, …) opens a file in a browser that asks nothing of anybody; the test's module ends
    with no complaint."""
    browser, complaints = request.getfixturevalue("chromium"), []

    def opened(file, scheme="light", width=1280, height=720):
        page = browser.new_context(
            color_scheme=scheme,
            viewport={"width": width, "height": height},
            reduced_motion="reduce",
        ).new_page()
        page.set_default_timeout(30_000)
        page.on(
            "request",
            lambda asked: asked.url.startswith(("file:", "data:")) or complaints.append(asked.url),
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console", lambda message: message.type == "error" and complaints.append(message.text)
        )
        page.goto(file.as_uri())
        return page

    yield opened
    assert complaints == []


def barriers(page) -> list[str]:
    """What axe-core calls serious or critical."""
    from axe_playwright_python.sync_playwright import Axe

    return [
        f"{found['id']}: {[node['target'] for node in found['nodes']][:3]}"
        for found in Axe().run(page).response["violations"]
        if found["impact"] in ("serious", "critical")
    ]


@needs_chromium
@pytest.mark.parametrize(
    "name", ["index.html", *(f"notebooks/{lesson}.html" for lesson in LESSONS)]
)
def test_a_page_fits_a_phone(site, show, name):
    page = show(site[name][0], width=360)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate("[...document.images].filter(image => !image.naturalWidth).length") == 0
    page.context.close()


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "name", ["index.html", "notebooks/01_first_call.html", "exercises/05_embeddings.html"]
)
def test_a_page_is_no_barrier(site, show, name, scheme):
    page = show(site[name][0], scheme)
    assert barriers(page) == []
    page.context.close()


@needs_chromium
@pytest.mark.parametrize(
    "name", ["notebooks/03_rate_limits_and_retries.html", "notebooks/05_embeddings.html"]
)
def test_a_page_is_printed_whole_and_black_on_white(site, show, name):
    page = show(site[name][0], "dark", width=700)
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("document.documentElement.scrollWidth") <= 700
    assert (
        page.evaluate(
            "[...document.querySelectorAll('pre')].filter(box => box.scrollWidth > box.clientWidth"
            " + 1).length"
        )
        == 0
    )
    assert not page.locator("nav").is_visible()
    page.context.close()


SLIDES = """() => Reveal.getSlides().map(slide => {
    const { h, v } = Reveal.getIndices(slide);
    Reveal.slide(h, v, 99);
    const box = slide.getBoundingClientRect();
    const screen = document.querySelector('.reveal').getBoundingClientRect();
    return { where: `${h}/${v}`, cut: box.bottom > screen.bottom + 1
        || box.right > screen.right + 1 || slide.scrollWidth > slide.clientWidth + 1,
             scrolls: slide.scrollHeight > slide.clientHeight + 1, reached: slide.tabIndex === 0 };
})"""


@needs_chromium
@pytest.mark.parametrize("lesson", LESSONS)
def test_no_slide_is_cut_off(decks, show, lesson):
    file, _, number = decks[lesson]
    page = show(file)
    page.wait_for_function("window.Reveal && Reveal.isReady()")
    found = page.evaluate(SLIDES)
    scroll = [slide["where"] for slide in found if slide["scrolls"]]
    print(f"{lesson}: {number} slides, {len(scroll)} of them scroll {scroll or ''}")
    assert len(found) == number
    assert [slide["where"] for slide in found if slide["cut"]] == []
    assert all(slide["reached"] for slide in found if slide["scrolls"]), (
        "what scrolls is reached by keyboard"
    )
    assert len(scroll) <= 0.06 * number, (
        "the estimate in authoring/slides.py is off: too many slides need scrolling"
    )
    page.context.close()


@needs_chromium
def test_a_prediction_comes_before_its_output(decks, show):
    file, _, _ = decks["03_rate_limits_and_retries"]
    page = show(file)
    page.wait_for_function("window.Reveal && Reveal.isReady()")
    page.evaluate(
        "Reveal.slide(2, 0, -1)"
    )  # "A laboratory for trouble": predict what the cell raises
    slide = page.locator("section.present section.present")
    assert slide.locator(".code").count() == 1 and "Predict" in slide.inner_text()
    answer = slide.locator(".output")
    assert answer.evaluate("element => getComputedStyle(element).visibility") == "hidden"
    page.keyboard.press("Space")
    page.wait_for_function(
        "() => getComputedStyle(document.querySelector('section.present section.present"
        " .output')).visibility === 'visible'"
    )
    assert "503" in answer.inner_text()
    assert barriers(page) == []
    page.context.close()
