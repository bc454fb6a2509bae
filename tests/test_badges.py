"""The one public address: in pyproject.toml, and from there in every notebook and the README."""

import os
import re
import shutil

import nbformat
import pytest
from guards import ROOT, notebooks, read

from authoring import badges

OTHER = "https://github.com/Some-Body/a.course"
ADDRESS = badges.address()
OWNER, REPOSITORY = badges.parts(ADDRESS)


@pytest.fixture
def copy(tmp_path):
    """The files that name the address, with one notebook of each folder."""
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, tmp_path)
    for folder in badges.FOLDERS:
        (tmp_path / folder).mkdir()
        shutil.copy(ROOT / folder / "01_first_call.ipynb", tmp_path / folder)
    return tmp_path


def contents(folder):
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def cells(path, name):
    return [one for one in enumerate(read(path).cells) if one[1].get("id") == name]


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_each_notebook_has_its_own_links_and_the_cell_for_colab(path):
    ((place, links),) = cells(path, "badges")
    assert place == 1 and links.cell_type == "markdown"
    named = f"{path.parent.name}/{path.name}"
    assert re.findall(r"\]\((\S+?)\)", links.source) == [
        f"https://colab.research.google.com/github/{OWNER}/{REPOSITORY}/blob/main/{named}",
        f"https://mybinder.org/v2/gh/{OWNER}/{REPOSITORY}/main?urlpath=lab/tree/{named}",
        f"https://{OWNER.lower()}.github.io/{REPOSITORY}/lab/index.html?path={named}",
    ]
    ((_, setup),) = cells(path, "setup")
    assert (setup.execution_count, setup.outputs) == (1, [])
    assert f'"git+{ADDRESS}@main"' in setup.source


def test_running_it_changes_nothing(copy, capsys):
    before = contents(copy)
    assert badges.main([], root=copy) == 0
    assert contents(copy) == before and capsys.readouterr().out == ""


def test_the_whole_course_is_as_the_command_writes_it():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert badges.readme(readme, ADDRESS) == readme
    for path in notebooks():
        notebook, name = read(path), f"{path.parent.name}/{path.name}"
        assert not badges.update(notebook, ADDRESS, name), f"{name}: make badges"
        assert notebook == read(path), f"{name}: make badges"


def test_a_new_address_reaches_every_file_and_the_way_back_too(copy):
    before = contents(copy)
    assert badges.main(["--address", OTHER + ".git/"], root=copy) == 0
    after = contents(copy)
    assert badges.address(copy) == OTHER
    for name, content in after.items():
        assert b"Some-Body/a.course" in content, name
        assert f"{OWNER}/{REPOSITORY}".encode() not in content, name
    site = b"some-body.github.io/a.course/lab/index.html?path=exercises/"
    assert site in after["exercises/01_first_call.ipynb"]
    assert badges.main(["--address", ADDRESS], root=copy) == 0
    assert contents(copy) == before


def test_a_notebook_without_the_cells_gets_them_and_is_run(copy):
    path = copy / "notebooks" / "02_new.ipynb"
    new = nbformat.v4
    made = [new.new_markdown_cell("# New"), new.new_code_cell("print(6 * 7)")]
    nbformat.write(new.new_notebook(cells=made), path)
    assert badges.main([], root=copy) == 0
    title, links, setup, first = read(path).cells
    assert (title.source, links.id, setup.id) == ("# New", "badges", "setup")
    assert (setup.execution_count, first.execution_count, first.outputs[0].text) == (1, 2, "42\n")


@pytest.mark.parametrize(
    "address",
    [
        "github.com/you/course",
        "http://github.com/you/course",
        "https://gitlab.com/you/course",
        "https://github.com/you",
        "https://github.com/you/course/tree/main",
        "https://github.com/a b/c",
        "",
    ],
)
def test_an_address_that_colab_cannot_open_is_refused(address, copy, capsys):
    before = contents(copy)
    with pytest.raises(ValueError, match="must look like https://github.com/you/course"):
        badges.parts(address)
    if address:
        assert badges.main(["--address", address], root=copy) == 1
        assert "must look like" in capsys.readouterr().err and contents(copy) == before


def test_a_readme_that_lost_its_line_is_refused(copy, capsys):
    (copy / "README.md").write_text("# Nothing here\n")
    assert badges.main([], root=copy) == 1
    assert "**Nothing to install.**" in capsys.readouterr().err


def test_on_github_the_address_is_that_of_the_repository():
    assert badges.disagreement(OTHER, "some-body/A.course") == ""
    assert badges.disagreement(OTHER, None) == ""
    says = "make badges ADDRESS=https://github.com/you/course"
    assert badges.disagreement(OTHER, "you/course").endswith(says)
    assert badges.disagreement(ADDRESS, os.environ.get("GITHUB_REPOSITORY")) == ""
