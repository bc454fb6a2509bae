"""npm's packages come as pinned or not at all; `npm ci` itself compares the hashes."""

import json
import re
from pathlib import Path

import pytest

from authoring import npm


def lock_of(folder: Path) -> dict:
    return json.loads((folder / "package-lock.json").read_text(encoding="utf-8"))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder in the place of authoring/, with a lock that pins one package."""
    packages = {"node_modules/a-package": {"version": "1.2.3"}}
    (tmp_path / "package-lock.json").write_text(json.dumps({"packages": packages}))
    (tmp_path / "node_modules/a-package").mkdir(parents=True)
    monkeypatch.setattr(npm, "HERE", tmp_path)
    return tmp_path


def test_a_package_is_found_in_its_pinned_version(here):
    about = here / "node_modules/a-package/package.json"
    about.write_text('{"version": "1.2.3"}')
    assert npm.package("a-package") == about.parent


@pytest.mark.parametrize(("about", "found"), [(None, "nothing"), ('{"version": "1.2.2"}', "1.2.2")])
def test_another_version_or_none_is_refused_with_what_to_do(here, about, found):
    if about is not None:
        (here / "node_modules/a-package/package.json").write_text(about)
    with pytest.raises(
        npm.NpmFailed, match=f"1.2.3 comes from npm, and {found} is here.*make authoring/node_mod"
    ):
        npm.package("a-package")


@pytest.mark.parametrize("folder", ["authoring", "workshop"])
def test_the_locks_have_exact_versions_with_hashes_and_no_addresses(root, folder):
    wanted = json.loads((root / folder / "package.json").read_text())["dependencies"]
    packages = lock_of(root / folder)["packages"]
    assert wanted == packages[""]["dependencies"]
    assert all(re.fullmatch(r"[\d.]+", version) for version in wanted.values())
    assert len(packages) > len(wanted)
    for name, one in packages.items():
        assert not name or (one["integrity"].startswith("sha512-") and "resolved" not in one)
    assert "omit-lockfile-registry-resolved=true" in (root / folder / ".npmrc").read_text()
