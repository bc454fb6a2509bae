"""Pyodide as the tab loads it: its core files from npm, our wheels beside them, and one lock file that names everything.

The lock file's own packages are taken out but for NumPy, Matplotlib and Pillow and what only they need. Those stay where
Pyodide publishes them, by absolute address and with Pyodide's own hash, and are asked for only when a cell imports them.
"""

import hashlib
import json
import shutil
import tempfile
import zipfile
from email.parser import Parser
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from authoring.site.wheels import FROM_PYODIDE, FRONT_END, SiteFailed, run

HERE = Path(__file__).resolve().parent
CORE = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip")
# Needed at once in every notebook, so they are loaded together with Python; what else a cell imports comes when it is run.
AT_ONCE = ("micropip", "piplite", "ipykernel", "comm", "pyodide-kernel", "jedi", "ipython", "ipywidgets", "hf-inference-course",
           "course-bytecode")
# Told to Python in the tab. The warnings, about file locks that nothing here takes and a connection pool that a browser has
# itself, would stand under the first call of every lesson.
ENVIRONMENT = {
    "PYTHONWARNINGS": "ignore:only soft file lock is available,ignore:The following transport option(s) are not supported on Emscripten",
}
# huggingface_hub's unspoken need (wheels.ALSO).
UNSPOKEN = {"huggingface-hub": ["httpcore2"]}
# Left out of a wheel: type stubs for some 200 packages that are not here, and more files than all the rest together.
TRIMMED = {"jedi": ("jedi/third_party/typeshed/stubs/", "jedi/third_party/django-stubs/")}


def published(version: str) -> str:
    """Where Pyodide publishes the packages of one of its versions; the address that its own lock file is relative to."""
    return f"https://cdn.jsdelivr.net/pyodide/v{version}/full/"


def write(core: Path, wheels: list[Path], out: Path, version: str) -> dict:
    """Fill `out` with Pyodide's core, the wheels and the lock file, and return the lock.

    core : the unpacked npm package `pyodide` of this version.  Raises SiteFailed if a wheel needs something nobody brings.
    """
    out.mkdir(parents=True, exist_ok=True)
    for file in CORE:
        shutil.copyfile(core / file, out / file)
    kept = [_copy(wheel, out) for wheel in wheels]
    theirs = json.loads((core / "pyodide-lock.json").read_text(encoding="utf-8"))
    _write_lock(merged(theirs, kept, published(version)), out)
    lock = merged(theirs, [*kept, compiled(out)], published(version))
    _write_lock(lock, out)
    return lock


def compiled(out: Path) -> Path:
    """Compile what every notebook imports (compile_in_node.py): the standard library's bytecode goes into its archive,
    the packages' into a wheel of its own, which is returned."""
    with tempfile.TemporaryDirectory() as scratch:
        in_node(out, HERE / "compile_in_node.py", Path(scratch))
        shutil.copyfile(Path(scratch) / "python_stdlib.zip", out / "python_stdlib.zip")
        wheel = next(Path(scratch).glob("*.whl"))
        shutil.copyfile(wheel, out / wheel.name)
    return out / wheel.name


def in_node(pyodide: Path, program: Path, folder: Path) -> str:
    """Run a Python file in this Pyodide under Node, with `folder` as /here, and return what it printed. Raises SiteFailed."""
    return run(["node", HERE / "in_node.mjs", pyodide, json.dumps({"env": ENVIRONMENT}), program, folder])


def _copy(wheel: Path, out: Path) -> Path:
    """The wheel in `out`, without what TRIMMED leaves out of it."""
    unwanted = TRIMMED.get(wheel.name.split("-")[0])
    if not unwanted:
        return Path(shutil.copyfile(wheel, out / wheel.name))
    with zipfile.ZipFile(wheel) as whole, zipfile.ZipFile(out / wheel.name, "w", zipfile.ZIP_DEFLATED) as rest:
        for item in whole.infolist():
            if not item.filename.startswith(unwanted):
                rest.writestr(item, whole.read(item), zipfile.ZIP_DEFLATED)
    return out / wheel.name


def _write_lock(lock: dict, out: Path) -> None:
    (out / "pyodide-lock.json").write_text(json.dumps(lock, indent=1), encoding="utf-8")


def merged(theirs: dict, wheels: list[Path], base: str) -> dict:
    """Pyodide's lock with our wheels (names relative to the lock) and the addresses below `base` of what stays Pyodide's."""
    environment = _environment(theirs["info"])
    ours = {entry["name"]: entry for entry in (_entry(wheel, environment) for wheel in wheels)}
    stays = {name: {**entry, "file_name": base + entry["file_name"]} for name, entry in _stays(theirs["packages"], ours).items()}
    packages = {**ours, **stays}
    for name, needs in UNSPOKEN.items():
        if name in packages:
            packages[name]["depends"] = sorted({*packages[name]["depends"], *needs})
    for name, entry in packages.items():
        entry["depends"] = [need for need in entry["depends"] if need not in FRONT_END or need in packages]
        if name == "hf-inference-course":   # figures and vectors are fetched when a cell asks for them, not before
            entry["depends"] = [need for need in entry["depends"] if need not in FROM_PYODIDE]
        if missing := [need for need in entry["depends"] if need not in packages]:
            raise SiteFailed(f"{name} needs {', '.join(missing)}, which locks/site.txt does not have; run `make lock`")
    return {**theirs, "packages": dict(sorted(packages.items()))}


def _stays(theirs: dict, ours: dict) -> dict:
    """FROM_PYODIDE and, of what they need, whatever is not ours already."""
    found, ask = {}, list(FROM_PYODIDE)
    while ask:
        name = ask.pop()
        if name not in found and name not in ours:
            if name not in theirs:
                raise SiteFailed(f"this Pyodide has no {name}; see FROM_PYODIDE in authoring/site/wheels.py")
            found[name] = dict(theirs[name])
            ask += theirs[name]["depends"]
    return found


def _entry(wheel: Path, environment: dict[str, str]) -> dict:
    """One package of the lock, from the wheel's own metadata."""
    name, version, _, _ = parse_wheel_filename(wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        files = archive.namelist()
        metadata = Parser().parsestr(archive.read(next(file for file in files if file.endswith(".dist-info/METADATA"))).decode())
    needs = [Requirement(line) for line in metadata.get_all("Requires-Dist") or []]
    modules = {file.split("/")[0].split(".")[0] for file in files if file.endswith((".py", ".so")) and ".data/" not in file}
    return {"name": str(name), "version": str(version), "file_name": wheel.name, "install_dir": "site", "package_type": "package",
            "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(), "imports": sorted(modules), "unvendored_tests": False,
            "depends": sorted({canonicalize_name(need.name) for need in needs if need.marker is None or need.marker.evaluate(environment)})}


def _environment(info: dict) -> dict[str, str]:
    """What environment markers are compared with in the tab."""
    return {"sys_platform": "emscripten", "platform_system": "Emscripten", "os_name": "posix", "platform_machine": "wasm32",
            "python_version": info["python"].rpartition(".")[0], "python_full_version": info["python"], "implementation_name": "cpython",
            "platform_python_implementation": "CPython", "extra": ""}
