"""Pages and slides hold all of every notebook, ask no address, and can be read by everybody."""

import html
import re
from html.parser import HTMLParser
from urllib.parse import unquote

import nbformat
import pytest
from chromium_fixtures import BUSY, chromium  # noqa: F401
from guards import LESSONS, notebooks, read
from guards.reading import headings_of

from authoring import npm, pages, slides

new = nbformat.v4
NBCONVERTS_FILLER = "No description has been provided"


class Seen(HTMLParser):
    """What an HTML file loads, links to, and shows."""

    def __init__(self, text: str):
        super().__init__()
        self.loads, self.links, self.alts, self.headings, self.ids = [], [], [], [], set()
        self.words, self._within = [], []
        self.feed(text)
        self.words = plain("".join(self.words))

    def handle_starttag(self, tag, attributes):
        about = dict(attributes)
        self.ids.add(about.get("id"))
        self._within.append(tag)
        addresses = [about.get(name) for name in ("src", "srcset", "poster")]
        self.loads += [one for one in addresses if one and not one.startswith("data:")]
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
            self.loads += re.findall(r"url\(\s*['\"]?(?!data:)([^)'\"]+)", data)
            self.loads += re.findall(r"@import[^;]+", data)
        if not {"script", "style"} & set(self._within):
            self.words.append(data)
        for tag in self._within:
            if re.fullmatch("h[1-6]", tag):
                self.headings[-1][1] += data


def seen_in(path) -> Seen:
    return Seen(path.read_text(encoding="utf-8"))


def page_of(path) -> str:
    return f"{path.parent.name}/{path.stem}.html"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """{name: (file, what it shows)} of all pages, built once."""
    out = tmp_path_factory.mktemp("pages")
    return {
        path.relative_to(out).as_posix(): (path, seen_in(path)) for path in pages.build(out=out)
    }


@pytest.fixture(scope="module")
def decks(site):
    """{lesson: (file, what it shows, number of slides)}, built once."""
    try:
        made = slides.build(out=site["index.html"][0].parent / "slides")
    except npm.NpmFailed as error:
        pytest.skip(str(error))
    return {path.stem: (path, seen_in(path), number) for path, number in made.items()}


def plain(text: str) -> str:
    """Without white space: coloured code is cut into many pieces."""
    return "".join(text.split())


def missing(notebook, seen: Seen) -> list[str]:
    """What of a notebook's code, outputs and alt texts is not there."""
    code = [cell for cell in pages.readable(notebook).cells if cell.cell_type == "code"]
    outputs = [output for cell in code for output in cell.outputs]
    wanted = [cell.source for cell in code]
    wanted += [output.text for output in outputs if output.output_type == "stream"]
    shown = [output.data for output in outputs if "data" in output]
    wanted += [data["text/plain"] for data in shown if set(data) == {"text/plain"}]
    pages_shown = "\n".join(data.get("text/html", "") for data in shown)
    alts = [html.unescape(alt) for alt in re.findall(r"alt='(.*?)'", pages_shown)]
    colourless = lambda text: re.sub(r"\x1b\[[\d;]*m", "", text)
    absent = [text for text in wanted if plain(colourless(text)) not in seen.words]
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
    assert bad.alts == poor(bad.alts) == [None, "ok"]
    assert poor([f"{NBCONVERTS_FILLER} for this image"])
    assert (bad.links, bad.ids, bad.headings) == (["#n"], {None, "n"}, [[2, "A b"]])
    assert bad.words == "Abtseen"
    output = new.new_output("stream", text="nor this")
    cell = new.new_code_cell("not_there()", outputs=[output])
    assert missing(new.new_notebook(cells=[cell]), bad) == ["not_there()", "nor this"]


# ---- pages -------------------------------------------------------------------------------------


def test_every_notebook_has_a_page(site):
    assert set(site) == {"index.html", "GLOSSARY.html", *map(page_of, notebooks())}


def test_pages_hold_all_that_the_notebooks_show(site):
    for path in notebooks():
        assert missing(read(path), site[page_of(path)][1]) == [], path.name


def test_pages_load_nothing_and_their_pictures_speak(site):
    for name, (_, seen) in site.items():
        assert seen.loads == [], name
        assert poor(seen.alts) == [], name
    assert sum(len(seen.alts) for _, seen in site.values()) >= 39


def test_headings_are_those_of_the_notebook(site):
    for path in notebooks():
        cells = pages.readable(read(path)).cells
        texts = [cell.source for cell in cells if cell.cell_type == "markdown"]
        said = [heading for text in texts for heading in headings_of(text)]
        _, seen = site[page_of(path)]
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
                assert unquote(place) in seen_in(there).ids, f"{name} links to {link}"
            followed += 1
    assert followed > 100


def test_the_index_is_readmes_table(site):
    readme = (pages.ROOT / "README.md").read_text(encoding="utf-8")
    row = r"^\| \[(.+?)\]\(notebooks/(.+?)\.ipynb\) \|(.+?)\| (\d+) \| (\d+) \|$"
    rows = re.findall(row, readme, re.MULTILINE)
    _, seen = site["index.html"]
    assert len(rows) == len(LESSONS)
    for said, stem, can, minutes, calls in rows:
        assert plain(f"{said} {can} {minutes} {calls}") in seen.words
        assert f"notebooks/{stem}.html" in seen.links


def test_what_is_for_running_is_left_out_and_no_picture_comes_from_elsewhere():
    badge = "[![Open in X](https://x.example/badge.svg)](https://x.example/t)"
    links = f"# T\n\n{badge}, [there](../exercises/a.ipynb#b), [c](c.py)"
    text = new.new_markdown_cell(links, id="a")
    left_out = [new.new_markdown_cell("badges", id="badges"), new.new_code_cell("do()", id="setup")]
    notebook = new.new_notebook(cells=[text, *left_out, new.new_code_cell("1", id="b")])
    first, second = pages.readable(notebook).cells
    assert (first.id, second.id) == ("a", "b")
    shown = "# T\n\n[Open in X](https://x.example/t), [there](../exercises/a.html#b), [c](c.py)"
    assert first.source == shown
    assert notebook.cells[0].source != first.source, "the notebook itself stays as it is"


# ---- slides ------------------------------------------------------------------------------------


def cut(*cells):
    """(type, cell) of a notebook's pieces: Markdown (str) and code (list: source, outputs…)."""
    stream = lambda text: new.new_output("stream", text=text)
    code = lambda source, *said: new.new_code_cell(source, outputs=list(map(stream, said)))
    made = [new.new_markdown_cell(one) if isinstance(one, str) else code(*one) for one in cells]
    pieces = slides.slides(new.new_notebook(cells=made)).cells
    return [(cell.metadata.slideshow.slide_type, cell) for cell in pieces]


def test_headings_begin_slides_and_text_after_code_does():
    first = ("# T\n\nopening", ["a = 1"], ["a"], "Text.", ["b"])
    second = ("## S\n\nmore", "### Part\n\nmore", "same slide")
    kinds = " ".join(kind for kind, _ in cut(*first, *second))
    assert kinds == "slide - - - subslide - slide - subslide - -"


def test_what_does_not_fit_goes_to_the_next_slide():
    long = "\n\n".join(f"{'word ' * 40}{i}" for i in range(12))
    kinds = [kind for kind, _ in cut(f"## S\n\n{long}")]
    assert kinds[0] == "slide" and 1 <= kinds.count("subslide") <= 3 and len(kinds) == 13
    (_, heading), *rest = cut("## S", ["x\n" * 12, "y\n" * 15])
    found = [(kind, bool(cell.source), bool(cell.outputs)) for kind, cell in rest]
    assert found == [("-", True, False), ("subslide", False, True)]


def test_after_a_prediction_outputs_wait_for_a_key():
    before = ("## S\n\n**Predict:** what?", ["a", "1"], ["b", "2"], "So it is.", ["c", "3"])
    made = cut(*before, "and **predict** again", ["d", "4"])
    revealed = [cell.metadata.revealed for _, cell in made if cell.cell_type == "code"]
    assert revealed == [True, True, False, True]


def test_no_notebook_holds_anything_for_slides():
    for path in notebooks():
        assert '"slideshow"' not in path.read_text(encoding="utf-8"), path.name


def test_decks_hold_all_that_the_lessons_show_and_load_nothing(decks):
    assert tuple(decks) == LESSONS
    for lesson, (_, seen, _) in decks.items():
        assert missing(read(pages.ROOT / "notebooks" / f"{lesson}.ipynb"), seen) == [], lesson
        assert seen.loads == [] and poor(seen.alts) == [], lesson
        inside = {link for link in seen.links if not link.startswith("http")}
        assert inside <= {f"{other}.html" for other in LESSONS}


# ---- in a browser ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def window(chromium):
    """A page of a browser, with what it asked of others and complained about."""
    page = chromium.new_context(reduced_motion="reduce").new_page()
    page.complaints = []
    page.set_default_timeout(BUSY)
    local = lambda asked: asked.url.startswith(("file:", "data:"))
    page.on("request", lambda asked: local(asked) or page.complaints.append(asked.url))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("console", lambda said: said.type == "error" and page.complaints.append(said.text))
    yield page
    page.context.close()


@pytest.fixture
def show(window):
    """show(file, …) opens a file in a browser that asks nothing of anybody and never complains."""
    window.complaints.clear()

    def open_in_browser(file, scheme="light", width=1280):
        window.emulate_media(media="screen", color_scheme=scheme)
        window.set_viewport_size({"width": width, "height": 720})
        window.goto(file.as_uri())
        return window

    yield open_in_browser
    assert window.complaints == []


@pytest.fixture
def show_deck(decks, show):
    """show_deck(lesson): the page with the slides of a lesson, when they are ready."""

    def opened(lesson):
        page = show(decks[lesson][0])
        page.wait_for_function("window.Reveal && Reveal.isReady()")
        return page

    return opened


def barriers(page) -> list[str]:
    """What axe-core calls serious or critical."""
    from axe_playwright_python.sync_playwright import Axe

    return [
        f"{found['id']}: {[node['target'] for node in found['nodes']][:3]}"
        for found in Axe().run(page).response["violations"]
        if found["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("name", ["index.html", *(f"notebooks/{one}.html" for one in LESSONS)])
def test_a_page_fits_a_phone(site, show, name):
    page = show(site[name][0], width=360)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate("[...document.images].filter(image => !image.naturalWidth).length") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "name", ["index.html", "notebooks/01_first_call.html", "exercises/05_embeddings.html"]
)
def test_a_page_is_no_barrier(site, show, name, scheme):
    page = show(site[name][0], scheme)
    assert barriers(page) == []


@pytest.mark.parametrize(
    "name", ["notebooks/03_rate_limits_and_retries.html", "notebooks/05_embeddings.html"]
)
def test_a_page_is_printed_whole_and_black_on_white(site, show, name):
    page = show(site[name][0], "dark", width=700)
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("document.documentElement.scrollWidth") <= 700
    assert page.evaluate(CUT_OFF) == 0
    assert not page.locator("nav").is_visible()


CUT_OFF = """() => [...document.querySelectorAll('pre')].filter(
    box => box.scrollWidth > box.clientWidth + 1).length"""
SLIDES = """() => Reveal.getSlides().map(slide => {
    const { h, v } = Reveal.getIndices(slide);
    Reveal.slide(h, v, 99);
    const box = slide.getBoundingClientRect();
    const screen = document.querySelector('.reveal').getBoundingClientRect();
    return { where: `${h}/${v}`, cut: box.bottom > screen.bottom + 1
        || box.right > screen.right + 1 || slide.scrollWidth > slide.clientWidth + 1,
             scrolls: slide.scrollHeight > slide.clientHeight + 1, reached: slide.tabIndex === 0 };
})"""


@pytest.mark.parametrize("lesson", LESSONS)
def test_no_slide_is_cut_off(decks, show_deck, lesson):
    page, number = show_deck(lesson), decks[lesson][2]
    found = page.evaluate(SLIDES)
    scroll = [slide["where"] for slide in found if slide["scrolls"]]
    print(f"{lesson}: {number} slides, {len(scroll)} of them scroll {scroll or ''}")
    assert len(found) == number
    assert [slide["where"] for slide in found if slide["cut"]] == []
    by_keyboard = all(slide["reached"] for slide in found if slide["scrolls"])
    assert by_keyboard, "what scrolls is reached by keyboard"
    assert len(scroll) <= 0.06 * number, "too many: the estimate in authoring/slides.py is off"


PRESENT = "section.present section.present"


def test_a_prediction_comes_before_its_output(show_deck):
    page = show_deck("03_rate_limits_and_retries")
    # "A laboratory for trouble": predict what the cell raises
    page.evaluate("Reveal.slide(2, 0, -1)")
    slide = page.locator(PRESENT)
    assert slide.locator(".code").count() == 1 and "Predict" in slide.inner_text()
    answer = slide.locator(".output")
    assert answer.evaluate("element => getComputedStyle(element).visibility") == "hidden"
    page.keyboard.press("Space")
    style = f"getComputedStyle(document.querySelector('{PRESENT} .output'))"
    page.wait_for_function(f"() => {style}.visibility === 'visible'")
    assert "503" in answer.inner_text()
    assert barriers(page) == []
