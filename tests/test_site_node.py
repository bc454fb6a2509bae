"""The site's Python without a browser: under Node, in seconds. What only a browser can show is
test_site_browser.py's."""

import json
import shutil
from pathlib import Path

import pytest

from authoring.site import distribution
from authoring.site.wheels import SiteFailed

pytest_plugins = ["site_fixtures"]


@pytest.fixture(scope="module")
def found(site, tmp_path_factory):
    """What site_in_node.py found out."""
    if shutil.which("node") is None:
        pytest.skip("node is missing; .ci/run installs it")
    printed = distribution.in_node(
        site / "static/pyodide",
        Path(__file__).with_name("site_in_node.py"),
        tmp_path_factory.mktemp("here"),
    )
    line = next(line for line in printed.splitlines() if line.startswith("FOUND "))
    return json.loads(line.removeprefix("FOUND "))


def test_it_is_the_browsers_python(found, site):
    lock = json.loads((site / "static/pyodide/pyodide-lock.json").read_text(encoding="utf-8"))
    assert (found["python"], found["platform"]) == (lock["info"]["python"], "emscripten")


def test_answers_are_those_of_the_recording(found, root):
    entry = json.loads(
        (root / "helpers/recordings/01_first_call.json").read_text(encoding="utf-8")
    )[0]
    kept = entry["answers"][0]
    assert found["answer"] == kept["json"]["choices"][0]["message"]["content"]
    assert found["log"] == [200, kept["seconds"]]


def test_a_stream_comes_in_pieces(found):
    assert found["chunks"] > 3 and len(found["streamed"]) > 20


def test_the_openai_client_is_answered(found):
    assert isinstance(found["openai"], str) and found["openai"]


def test_what_nobody_recorded_is_explained(found):
    assert "replay" in found["miss"].lower()


def test_the_fault_lab_and_the_retry_work(found):
    assert found["after two 503"] in ("stop", "length")


def test_an_exercise_checks_and_notes(found):
    assert found["verdict"].startswith("Not yet")
    assert found["progress"]["01_first_call"]["1"]["hints"] == 1


def test_without_matplotlib_there_is_no_figure(found):
    assert found["figure"] == "None"


def test_an_exception_in_the_tab_is_quoted(site, tmp_path):
    program = tmp_path / "fails.py"
    program.write_text("raise ValueError('as you wish')\n")
    with pytest.raises(SiteFailed, match="ValueError: as you wish"):
        distribution.in_node(site / "static/pyodide", program, tmp_path)
