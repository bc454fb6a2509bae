"""The benchmarks' own tools: tables, the dated file, and contenders that answer right."""

import datetime
import os
import subprocess
import sys
from pathlib import Path

import pytest

from authoring.bench import __main__ as command
from authoring.bench import replay
from authoring.bench.table import Table, keep
from authoring.bench.tests import Cost, cost, report

TABLE = Table("One call", ["", "ms"], [["ours", "0.2"]], "How it was measured.", more=["nbval"])


def test_a_table_says_what_where_and_with_which_versions():
    text = TABLE.markdown()
    assert text.startswith("## One call\n\n|  | ms |\n| --- | --- |\n| ours | 0.2 |\n")
    for said in ("How it was measured.", "cores, Python 3.", "httpx2 2.", "nbval 0."):
        assert said in text


def test_todays_file_keeps_the_parts_that_were_not_measured_again(tmp_path):
    keep(["## A\n\none\n", "## B\n\ntwo\n"], tmp_path)
    path = keep(["## A\n\nthree\n", "## C\n\nfour\n"], tmp_path)
    today = datetime.date.today().isoformat()
    assert path.name == f"{today}.md"
    parts = "## A\n\nthree\n\n## B\n\ntwo\n\n## C\n\nfour\n"
    assert path.read_text() == f"# Benchmarks, {today}\n\n{parts}"


def test_a_part_that_fails_is_told_and_the_others_are_kept(monkeypatch, tmp_path, capsys):
    def sections(part):
        if part == "lab":
            raise RuntimeError("no answer")
        return [f"## {part}\n"]

    kept = []
    monkeypatch.setattr(command, "sections", sections)
    monkeypatch.setattr(command, "keep", kept.extend)
    assert command.main(["replay", "lab", "imports"]) == 1
    assert kept == ["## replay\n", "## imports\n"]
    assert "lab: FAILED. RuntimeError: no answer" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        command.main(["speed"])


@pytest.mark.parametrize("contender", [*replay.CONTENDERS])
def test_each_contender_answers_right(contender, root):
    needs = {"vcrpy": "vcr", "pycachy": "cachy"}.get(contender, "json")
    pytest.importorskip(needs, reason="not installed")
    measure = f"print(replay.measure({contender!r}, 12))"
    code = f"from authoring.bench import replay; replay.REPEATS = 2; {measure}"
    env, how = os.environ | {"COURSE_PACE": "1"}, {"capture_output": True, "text": True}
    ran = subprocess.run([sys.executable, "-c", code], cwd=root, env=env, timeout=600, **how)
    assert ran.returncode == 0, ran.stderr
    # The recorded answer took 0.5 s: nobody waits for it.
    assert 0 < float(ran.stdout.split()[-1]) < 0.4


def test_both_bodies_are_two_kilobytes():
    for body in (replay.request(5), replay.answer(5)):
        assert 1900 < len(replay.content(body)) < 2100


def test_the_suites_table_says_how_far_from_the_floor():
    executed = {Path("notebooks/a.ipynb"): Cost(3, 2), Path("exercises/b.ipynb"): Cost(5, 4)}
    table = report(Cost(1, 1) * 2, executed, Cost(6, 9), Cost(20, 30), load=0.25)
    assert [row[1:] for row in table.rows] == [
        ["2", "2", "0.33"],
        ["8", "6", "1.00"],
        ["6", "9", "1.50"],
        ["20", "30", "5.00"],
    ]
    assert "exercises/b.ipynb, takes 5.0 s" in table.note
    assert "15 s for `make test`, 3 s for running the notebooks alone" in table.note
    assert "Load on the machine before: 0.2" in table.note


def test_a_command_costs_what_it_used_and_a_failure_is_told():
    work = "end = time.process_time() + 0.2\nwhile time.process_time() < end: pass"
    used = cost([sys.executable, "-c", f"import time; {work}"])
    assert used.clock >= 0.2 and (used.processors >= 0.19 or os.name == "nt")
    with pytest.raises(RuntimeError, match="(?s)failed.*out of order"):
        cost([sys.executable, "-c", "raise SystemExit('out of order')"])
