"""The glossary says what the lessons say."""

import nbformat
import pytest

from authoring import glossary


def lesson(folder, name, *texts):
    cells = [nbformat.v4.new_markdown_cell(text) for text in texts]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / name)


def test_it_is_up_to_date(capsys):
    assert glossary.main(["--check"]) == 0, capsys.readouterr().out


def test_a_defining_sentence_is_found_without_its_neighbours(tmp_path):
    lesson(tmp_path, "01_a.ipynb", "Before. A <dfn>token</dfn> is a piece of a word. After.")
    assert glossary.terms(tmp_path) == {
        "token": ("token", "A token is a piece of a word.", "01_a.ipynb")
    }
    assert "**token**: A token is a piece of a word. ([01](notebooks/01_a.ipynb))" in glossary.text(
        tmp_path
    )


def test_a_term_defined_twice_is_refused(tmp_path):
    lesson(tmp_path, "01_a.ipynb", "A <dfn>token</dfn> is a piece of a word.")
    lesson(tmp_path, "02_b.ipynb", "A <dfn>Token</dfn> is something else.")
    with pytest.raises(ValueError, match="02_b.ipynb defines 'Token', and so does 01_a.ipynb"):
        glossary.terms(tmp_path)


def test_a_changed_lesson_is_noticed(tmp_path, monkeypatch, capsys):
    (tmp_path / "notebooks").mkdir()
    lesson(tmp_path / "notebooks", "01_a.ipynb", "A <dfn>token</dfn> is a piece of a word.")
    monkeypatch.setattr(glossary, "ROOT", tmp_path)
    monkeypatch.setattr(glossary, "FILE", tmp_path / "GLOSSARY.md")
    assert glossary.main([]) == 0 and glossary.main(["--check"]) == 0
    lesson(tmp_path / "notebooks", "01_a.ipynb", "A <dfn>token</dfn> is half a word.")
    assert glossary.main(["--check"]) == 1
    assert "out of date" in capsys.readouterr().out
