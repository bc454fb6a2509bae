"""The benchmarks' own tools: tables, the dated file, and contenders that answer right."""

import datetime

import pytest

from authoring.bench import __main__ as command
from authoring.bench import replay
from authoring.bench.table import Table, keep

TABLE = Table("One call", ["", "ms"], [["ours", "0.2"]], "How it was measured.", more=["nbval"])


def test_a_table_says_what_where_and_with_which_versions():
    text = TABLE.markdown()
    assert text.startswith("## One call\n\n|  | ms |\n| --- | --- |\n| ours | 0.2 |\n")
    assert "How it was measured." in text and "cores, Python 3." in text and "httpx2 2." in text and "nbval 0." in text


def test_todays_file_keeps_the_parts_that_were_not_measured_again(tmp_path):
    keep(["## A\n\none\n", "## B\n\ntwo\n"], tmp_path)
    path = keep(["## A\n\nthree\n", "## C\n\nfour\n"], tmp_path)
    today = datetime.date.today().isoformat()
    assert path.name == f"{today}.md"
    assert path.read_text() == f"# Benchmarks, {today}\n\n## A\n\nthree\n\n## B\n\ntwo\n\n## C\n\nfour\n"


def test_a_part_that_fails_is_told_and_the_others_are_kept(monkeypatch, tmp_path, capsys):
    def sections(part):
        if part == "lab":
            raise RuntimeError("no answer")
        return [f"## {part}\n"]

    kept = []
    monkeypatch.setattr(command, "sections", sections)
    monkeypatch.setattr(command, "keep", kept.extend)
    assert command.main(["replay", "lab", "imports"]) == 1
    assert kept == ["## replay\n", "## imports\n"] and "lab: FAILED. RuntimeError: no answer" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        command.main(["speed"])


@pytest.mark.parametrize("contender", [*replay.CONTENDERS])
def test_each_contender_answers_right(contender, root):
    import os
    import subprocess
    import sys

    pytest.importorskip({"vcrpy": "vcr", "pycachy": "cachy"}.get(contender, "json"), reason="not installed")
    code = f"from authoring.bench import replay; replay.REPEATS = 2; print(replay.measure({contender!r}, 12))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=root, env=os.environ | {"COURSE_PACE": "1"}, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    assert 0 < float(ran.stdout.split()[-1]) < 0.4              # the recorded answer took 0.5 s: nobody waits for it


def test_both_bodies_are_two_kilobytes():
    assert 1900 < len(replay.content(replay.request(5))) < 2100 and 1900 < len(replay.content(replay.answer(5))) < 2100
