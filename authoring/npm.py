"""Packages from npm, exactly as pinned in locks/npm.txt: their hash is checked before anything of them is used.

fetch("reveal.js")      the unpacked package's folder; fetched once, kept in .venv/npm/
"""

import base64
import hashlib
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PINS = ROOT / "locks" / "npm.txt"
KEPT = ROOT / ".venv" / "npm"
LONGEST = 300  # seconds for one download


class NpmFailed(RuntimeError):
    """A package could not be had, or is not the one that was pinned. The message says what to do."""


def pins(file: Path = PINS) -> dict[str, tuple[str, str]]:
    """{name: (version, integrity)}, the integrity as npm writes it: "sha512-…"."""
    line = re.compile(r"^(\S+)==(\S+) --integrity=(sha512-\S+)$", re.MULTILINE)
    return {
        name: (version, integrity)
        for name, version, integrity in line.findall(file.read_text(encoding="utf-8"))
    }


def fetch(name: str, kept: Path = KEPT, file: Path = PINS) -> Path:
    """The folder of the package `name`, unpacked below `kept`.

    Raises NpmFailed if it isn't pinned, npm is missing or does not answer, or the hash is another one.
    """
    if name not in (known := pins(file)):
        raise NpmFailed(
            f"{name} is not in locks/{file.name}, which has {', '.join(known) or 'nothing'}"
        )
    version, integrity = known[name]
    folder = kept / f"{name.replace('/', '-')}-{version}"
    if folder.exists():
        return folder
    npm = shutil.which("npm")
    if npm is None:
        raise NpmFailed(
            f"{name} comes from npm, and npm is missing. On Debian or Ubuntu: sudo apt-get"
            " install npm"
        )
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept) as scratch:
        try:
            done = subprocess.run(
                [npm, "pack", "--silent", f"{name}@{version}"],
                cwd=scratch,
                capture_output=True,
                text=True,
                timeout=LONGEST,
            )
        except subprocess.TimeoutExpired as error:
            raise NpmFailed(
                f"npm did not deliver {name} {version} within {LONGEST} seconds"
            ) from error
        archives = list(Path(scratch).glob("*.tgz"))
        if done.returncode or len(archives) != 1:
            raise NpmFailed(
                f"npm could not deliver {name} {version}:"
                f" {done.stderr.strip()[-300:] or 'it gave no reason'}"
            )
        check(archives[0], integrity)
        with tarfile.open(archives[0]) as archive:
            archive.extractall(scratch, filter="data")
        try:
            (Path(scratch) / "package").rename(folder)  # all of it or nothing
        except OSError:
            if not folder.exists():  # another process was first: the same package
                raise
    return folder


def check(archive: Path, integrity: str) -> None:
    """Raises NpmFailed unless the file has this hash."""
    found = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if found != integrity:
        raise NpmFailed(
            f"{archive.name} is not the package that was pinned: its hash is {found[:20]}…,"
            f" locks/npm.txt says {integrity[:20]}…. Nothing of it was used"
        )
