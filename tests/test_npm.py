"""npm packages come as pinned or not at all."""

import base64
import hashlib
import io
import subprocess
import tarfile

import pytest

from authoring import npm


def archive_with(name: str, said: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(said)
        archive.addfile(entry, io.BytesIO(said.encode()))
    return buffer.getvalue()


PACKAGE = archive_with("package/index.js", "hello")
INTEGRITY = "sha512-" + base64.b64encode(hashlib.sha512(PACKAGE).digest()).decode()


@pytest.fixture
def registry(monkeypatch, tmp_path):
    """npm as if it answered: registry(bytes) is what it delivers, None that it fails. Gives the lock it is pinned in."""
    asked = []

    def serve(delivered, integrity=INTEGRITY):
        def run(command, cwd, **_):
            asked.append(command[-1])
            if delivered is not None:
                (tmp_path.__class__(cwd) / "a-package-1.2.3.tgz").write_bytes(delivered)
            return subprocess.CompletedProcess(
                command, 0 if delivered is not None else 1, "", "no such host"
            )

        monkeypatch.setattr(npm.subprocess, "run", run)
        monkeypatch.setattr(npm.shutil, "which", lambda name: f"/usr/bin/{name}")
        lock = tmp_path / "npm.txt"
        lock.write_text(f"# a comment\na-package==1.2.3 --integrity={integrity}\n")
        return lock

    serve.asked = asked
    return serve


def test_a_package_is_unpacked_once(registry, tmp_path):
    lock = registry(PACKAGE)
    for _ in range(2):
        folder = npm.fetch("a-package", tmp_path / "kept", lock)
        assert (folder / "index.js").read_text() == "hello"
    assert registry.asked == ["a-package@1.2.3"]
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["a-package-1.2.3"]


def test_another_hash_is_refused_and_nothing_is_kept(registry, tmp_path):
    lock = registry(archive_with("package/index.js", "hellO"))
    with pytest.raises(
        npm.NpmFailed, match="not the package that was pinned.*Nothing of it was used"
    ):
        npm.fetch("a-package", tmp_path / "kept", lock)
    assert not list((tmp_path / "kept").iterdir())


def test_an_archive_that_reaches_outside_is_refused(registry, tmp_path):
    evil = archive_with("../outside.js", "hello")
    lock = registry(evil, "sha512-" + base64.b64encode(hashlib.sha512(evil).digest()).decode())
    with pytest.raises(tarfile.OutsideDestinationError):
        npm.fetch("a-package", tmp_path / "kept", lock)
    assert not list(tmp_path.rglob("outside.js"))


def test_what_went_wrong_is_said(registry, tmp_path, monkeypatch):
    with pytest.raises(npm.NpmFailed, match="could not deliver a-package 1.2.3: no such host"):
        npm.fetch("a-package", tmp_path / "kept", registry(None))
    with pytest.raises(npm.NpmFailed, match="other is not in locks/npm.txt, which has a-package"):
        npm.fetch("other", tmp_path / "kept", tmp_path / "npm.txt")
    monkeypatch.setattr(npm.shutil, "which", lambda name: None)
    with pytest.raises(npm.NpmFailed, match="npm is missing.*apt-get install npm"):
        npm.fetch("a-package", tmp_path / "kept", tmp_path / "npm.txt")

    def too_long(command, timeout, **_):
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(npm.shutil, "which", lambda name: name)
    monkeypatch.setattr(npm.subprocess, "run", too_long)
    with pytest.raises(npm.NpmFailed, match="within 300 seconds"):
        npm.fetch("a-package", tmp_path / "kept", tmp_path / "npm.txt")


def test_the_lock_has_pins_with_hashes_and_no_addresses():
    text = npm.PINS.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert len(npm.pins()) == len(lines) > 0
    assert all(
        len(base64.b64decode(integrity.removeprefix("sha512-"))) == 64
        for _, integrity in npm.pins().values()
    )
    assert "://" not in text
