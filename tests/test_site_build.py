"""The site as it is built (authoring/site/): complete, pinned, and asking nobody but itself and
Pyodide's own packages."""

import hashlib
import json
import re
import sys
import threading
import zipfile

import httpx2
import pytest

from authoring import npm
from authoring.site import __main__ as site_command
from authoring.site import distribution, wheels
from authoring.site.wheels import SiteFailed

pytest_plugins = ["site_fixtures"]


@pytest.fixture(scope="module")
def lock(site):
    return json.loads((site / "static/pyodide/pyodide-lock.json").read_text(encoding="utf-8"))


# ---- what is in it ----


@pytest.mark.parametrize("folder", site_command.FOLDERS)
def test_every_notebook_is_there(site, root, folder):
    ours = {path.name for path in (root / folder).glob("*.ipynb")}
    listed = (site / "api/contents" / folder / "all.json").read_text(encoding="utf-8")
    assert {item["name"] for item in json.loads(listed)["content"]} == ours
    assert {path.name for path in (site / "files" / folder).glob("*.ipynb")} == ours


def test_every_link_of_a_notebook_leads_to_a_file_of_the_site(site):
    dead = [
        (path.name, link)
        for path in (site / "files").rglob("*.ipynb")
        for link in site_command.linked(path)
        if not (path.parent / link).exists()
    ]
    assert not dead


def test_the_front_page_leads_to_the_first_lesson(site):
    page = (site / "index.html").read_text(encoding="utf-8")
    target = re.search(r"path=([\w/.]+)", page)[1]
    assert (site / "files" / target).exists()
    assert 'id="jupyter-config-data"' in page, (
        "JupyterLite's own pages read this element of the front page"
    )


def test_the_kernel_starts_with_what_every_notebook_needs(site, lock):
    told = json.loads((site / "jupyter-lite.json").read_text(encoding="utf-8"))
    plugins = told["jupyter-config-data"]["litePluginSettings"]
    kernel = plugins["@jupyterlite/pyodide-kernel-extension:kernel"]
    assert kernel["disablePyPIFallback"] is True
    assert kernel["pyodideUrl"].startswith("./")
    assert set(kernel["loadPyodideOptions"]["packages"]) <= set(lock["packages"])


# ---- the lock ----


def test_each_package_is_here_with_its_hash_or_is_pyodides_own(site, lock):
    core, _, version = site_command.pyodide()
    theirs = json.loads((core / "pyodide-lock.json").read_text(encoding="utf-8"))["packages"]
    elsewhere = {name for name, entry in lock["packages"].items() if "://" in entry["file_name"]}
    assert set(distribution.FROM_PYODIDE) <= elsewhere
    for name, entry in lock["packages"].items():
        if name in elsewhere:
            assert entry["file_name"] == distribution.published(version) + theirs[name]["file_name"]
            assert entry["sha256"] == theirs[name]["sha256"]
        else:
            content = (site / "static/pyodide" / entry["file_name"]).read_bytes()
            assert hashlib.sha256(content).hexdigest() == entry["sha256"]


def test_what_can_wait_is_not_loaded_at_once(lock):
    needed, ask = set(), list(distribution.AT_ONCE)
    while ask:
        name = ask.pop()
        if name not in needed:
            needed.add(name)
            ask += lock["packages"][name]["depends"]
    assert not [name for name in needed if "://" in lock["packages"][name]["file_name"]]
    assert not needed & {*distribution.LATER, "pydantic"}
    assert set(distribution.LATER) <= set(lock["packages"]), "and can be had"


def test_the_tab_has_the_versions_that_are_tested(root, lock):
    tested = wheels.pinned(root / "locks" / "test.txt")
    pinned = wheels.pinned()
    assert {name: lock["packages"][name]["version"] for name in pinned} == pinned
    assert {name: version for name, version in pinned.items() if name in tested} == {
        name: tested[name] for name in pinned if name in tested
    }


def test_pins_have_hashes_and_no_addresses(root):
    assert "://" not in (root / "locks" / "site.txt").read_text(encoding="utf-8")
    blocks = re.split(
        r"^(?=[a-z0-9])", wheels.PINS.read_text(encoding="utf-8"), flags=re.MULTILINE
    )[1:]
    assert blocks and all("--hash=sha256:" in block for block in blocks)


def test_the_bytecode_is_what_this_python_reads(site, lock):
    """Its magic number is that of the standard library's: bytecode of another Python would be
    compiled again, silently."""
    tag = "cpython-" + "".join(lock["info"]["python"].split(".")[:2])
    with zipfile.ZipFile(site / "static/pyodide/python_stdlib.zip") as library:
        compiled = [name for name in library.namelist() if name.endswith(".pyc")]
        standard = {library.read(name)[:8] for name in compiled}
        assert len(compiled) > 150
    ours = {}
    for name in ("hf-inference-course", "openai", "huggingface-hub", "ipython"):
        wheel = site / "static/pyodide" / lock["packages"][name]["file_name"]
        with zipfile.ZipFile(wheel) as package:
            files = package.namelist()
            compiled = [file for file in files if file.endswith(".pyc")]
            ours |= {file: package.read(file)[:8] for file in compiled}
            assert all(distribution.source_of(file) in files for file in compiled)
    assert len(ours) > 500 and set(ours.values()) == standard
    assert all(name.endswith(f".{tag}.pyc") for name in ours)
    assert f"helpers/__pycache__/session.{tag}.pyc" in ours


def test_an_import_looks_into_the_notebooks_folder_last(site):
    script = (site / "static/pyodide/pyodide.mjs").read_text(encoding="utf-8")
    assert distribution.OWN_FOLDER_LAST in script and distribution.OWN_FOLDER_FIRST not in script


def test_the_service_worker_leaves_the_sites_files_alone(site):
    script = (site / "service-worker.js").read_text(encoding="utf-8")
    assert site_command.NOT_PASSED_ON in script and site_command.PASSED_ON not in script


def test_the_kernel_waits_until_it_is_known_where_the_learners_files_are(site):
    scripts = (site / "extensions" / site_command.KERNEL / "static").glob("*.js")
    text = "".join(script.read_text(encoding="utf-8") for script in scripts)
    assert site_command.IN_TIME in text and site_command.TOO_EARLY not in text


# ---- what goes wrong, said ----


def wheel(folder, name, needs=()):
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}/__init__.py", "")
        archive.writestr(
            f"{name}-1.0.dist-info/METADATA",
            "\n".join([f"Name: {name}", "Version: 1.0", *(f"Requires-Dist: {n}" for n in needs)]),
        )
    return path


THEIRS = {
    "info": {"python": "3.14.2"},
    "packages": {
        name: {
            "name": name,
            "file_name": f"{name}.whl",
            "sha256": "0",
            "depends": depends,
            "imports": [name],
        }
        for name, depends in {
            "numpy": [],
            "pillow": [],
            "matplotlib": ["numpy", "cycler"],
            "cycler": [],
            "pandas": ["numpy"],
        }.items()
    },
}


def test_a_wheel_that_needs_what_nobody_brings_stops_the_build(tmp_path):
    with pytest.raises(SiteFailed, match="alpha needs beta, .* `make lock`"):
        distribution.merged(THEIRS, [wheel(tmp_path, "alpha", ["beta"])], "https://there/")


def test_markers_are_those_of_the_tab(tmp_path):
    made = wheel(
        tmp_path,
        "alpha",
        [
            'beta; sys_platform == "win32"',
            'gamma; sys_platform == "emscripten"',
            "delta; extra == 'all'",
        ],
    )
    lock = distribution.merged(THEIRS, [made, wheel(tmp_path, "gamma")], "https://there/")
    assert lock["packages"]["alpha"]["depends"] == ["gamma"]


def test_of_pyodides_packages_only_those_that_are_wanted_stay(tmp_path):
    lock = distribution.merged(THEIRS, [wheel(tmp_path, "cycler")], "https://there/")
    packages = lock["packages"]
    assert set(packages) == {"numpy", "pillow", "matplotlib", "cycler"}
    assert packages["numpy"]["file_name"] == "https://there/numpy.whl"
    assert packages["cycler"]["file_name"] == "cycler-1.0-py3-none-any.whl", (
        "what we bring is not fetched elsewhere"
    )


def test_a_wheel_can_be_trimmed(tmp_path, monkeypatch):
    monkeypatch.setattr(distribution, "TRIMMED", {"alpha": ("alpha/stubs/",)})
    made = wheel(tmp_path, "alpha")
    with zipfile.ZipFile(made, "a") as archive:
        archive.writestr("alpha/stubs/many.pyi", "")
    (tmp_path / "out").mkdir()
    with zipfile.ZipFile(distribution._copy(made, tmp_path / "out")) as archive:
        assert "alpha/__init__.py" in archive.namelist()
        assert "alpha/stubs/many.pyi" not in archive.namelist()


def test_another_pyodide_than_the_kernels_is_refused(monkeypatch):
    monkeypatch.setattr(npm, "pinned", lambda _: "1.0")
    said = r"the kernel was made for pyodide [\d.]+ and authoring/package.json pins 1.0"
    with pytest.raises(SiteFailed, match=said):
        site_command.pyodide()


def test_an_empty_lock_is_refused(tmp_path):
    (tmp_path / "site.txt").write_text("# nothing\n")
    with pytest.raises(SiteFailed, match="pins nothing; write it with `make lock`"):
        wheels.fetch("2026_0", "3.14", pins=tmp_path / "site.txt", kept=tmp_path)


def test_a_command_that_fails_is_quoted():
    with pytest.raises(SiteFailed, match="failed:\nwhat a pity"):
        wheels.run([sys.executable, "-c", "import sys; sys.exit('what a pity')"])
    with pytest.raises(SiteFailed, match="is missing"):
        wheels.run(["no-such-command"])


def test_serving_a_site_that_is_not_there_says_what_to_do(tmp_path, capsys):
    assert site_command.main(["serve", "--out", str(tmp_path)]) == 1
    assert "`make site` builds it" in capsys.readouterr().err


# ---- served ----


def test_a_plain_server_sends_what_browsers_insist_on(tmp_path):
    names = ("a.mjs", "a.wasm", "a.json")
    for name in names:
        (tmp_path / name).write_text("{}")
    with site_command.server(tmp_path) as running:
        where = f"http://127.0.0.1:{running.server_port}"
        threading.Thread(target=running.serve_forever, daemon=True).start()
        try:
            ask = lambda name: httpx2.get(f"{where}/{name}", trust_env=False)
            types = {name: ask(name).headers["content-type"] for name in names}
        finally:
            running.shutdown()
    assert list(types.values()) == ["text/javascript", "application/wasm", "application/json"]


@pytest.mark.parametrize("text, times", [("another version", 0), ("a b a b", 2)])
def test_a_script_that_has_changed_is_not_changed_again(tmp_path, text, times):
    script = tmp_path / "script.js"
    script.write_text(text, encoding="utf-8")
    with pytest.raises(wheels.SiteFailed, match=f"script.js has 'a b' {times} times"):
        distribution.replace_once(script, "a b", "c")
    assert script.read_text(encoding="utf-8") == text
