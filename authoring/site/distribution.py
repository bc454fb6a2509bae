"""Pyodide as the tab loads it: its core files from npm, our wheels beside them, and one lock file
that names everything.

The lock file's own packages are taken out but for NumPy, Matplotlib and Pillow and what only they
need. Those stay where Pyodide publishes them, by absolute address and with Pyodide's own hash, and
are asked for only when a cell imports them.
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
# Needed at once in every notebook, so they are loaded together with Python; what else a cell
# imports comes when it is run.
AT_ONCE = (
    "micropip",
    "piplite",
    "ipykernel",
    "comm",
    "pyodide-kernel",
    "jedi",
    "ipython",
    "ipywidgets",
    "hf-inference-course",
)
# What the course needs, but not before a cell asks for it. The OpenAI client is a third of all
# files.
LATER = (*FROM_PYODIDE, "openai", "stamina")
# Told to Python in the tab. The warnings, about file locks that nothing here takes and a connection
# pool that a browser has itself, would stand under the first call of every lesson.
ENVIRONMENT = {
    "PYTHONWARNINGS": (
        "ignore:only soft file lock is available,ignore:The following transport option(s) are not"
        " supported on Emscripten"
    ),
}
# huggingface_hub's unspoken need (wheels.ALSO).
UNSPOKEN = {"huggingface-hub": ["httpcore2"]}
# Pyodide lets every import look into the notebook's own folder first. In the site that folder lies
# behind a service worker, 5 ms a look, and lesson 01 looked a hundred times before its first
# answer; so it is looked into last.
OWN_FOLDER_FIRST, OWN_FOLDER_LAST = 'sys.path.insert(0,"")', 'sys.path.append("")'
# Left out of a wheel: type stubs for some 200 packages that are not here, and more files than all
# the rest together; then those of modules that Python no longer has, and of codecs.
STUBS = "jedi/third_party/typeshed/"
TRIMMED = {
    "jedi": (
        "jedi/third_party/django-stubs/",
        STUBS + "stubs/",
        *(f"{STUBS}stdlib/{name}/" for name in ("lib2to3", "distutils", "encodings")),
    )
}


def published(version: str) -> str:
    """Where Pyodide publishes the packages of one of its versions; the address that its own lock
    file is relative to."""
    return f"https://cdn.jsdelivr.net/pyodide/v{version}/full/"


def write(core: Path, wheels: list[Path], out: Path, version: str) -> dict:
    """Fill `out` with Pyodide's core, the wheels and the lock file, and return the lock.

    core : the unpacked npm package `pyodide` of this version.  Raises SiteFailed if a wheel needs
        something nobody brings.
    """
    out.mkdir(parents=True, exist_ok=True)
    for file in CORE:
        shutil.copyfile(core / file, out / file)
    replace_once(out / "pyodide.mjs", OWN_FOLDER_FIRST, OWN_FOLDER_LAST)
    kept = [_copy(wheel, out) for wheel in wheels]
    theirs = json.loads((core / "pyodide-lock.json").read_text(encoding="utf-8"))
    _write_lock(merged(theirs, kept, published(version)), out)
    add_bytecode(out, kept)
    lock = merged(theirs, kept, published(version))
    _write_lock(lock, out)
    return lock


def add_bytecode(out: Path, kept: list[Path]) -> None:
    """Compile what the notebooks import (compile_in_node.py) and put each file's bytecode beside
    its source: in the wheels, and in the standard library's archive. Without it, each tab would
    compile some 1,500 files anew.
    """
    with tempfile.TemporaryDirectory() as scratch:
        in_node(out, HERE / "compile_in_node.py", Path(scratch))
        shutil.copyfile(Path(scratch) / "python_stdlib.zip", out / "python_stdlib.zip")
        with zipfile.ZipFile(Path(scratch) / "bytecode.zip") as bytecode:
            compiled = {source_of(name): name for name in bytecode.namelist()}
            for path in kept:
                with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as wheel:
                    for source in [name for name in wheel.namelist() if name in compiled]:
                        wheel.writestr(compiled[source], bytecode.read(compiled[source]))


def source_of(bytecode: str) -> str:
    """pkg/__pycache__/module.cpython-314.pyc is what pkg/module.py was compiled to."""
    folder, _, name = bytecode.rpartition("__pycache__/")
    return f"{folder}{name.partition('.')[0]}.py"


def in_node(pyodide: Path, program: Path, folder: Path) -> str:
    """Run a Python file in this Pyodide under Node, with `folder` as /here, and return what it
    printed. Raises SiteFailed."""
    return run(
        ["node", HERE / "in_node.mjs", pyodide, json.dumps({"env": ENVIRONMENT}), program, folder]
    )


def replace_once(script: Path, old: str, new: str) -> None:
    """Change one place in somebody else's script. Raises SiteFailed if it is not there exactly
    once: then it is another version."""
    text = script.read_text(encoding="utf-8")
    if text.count(old) != 1:
        raise SiteFailed(
            f"{script.name} has {old!r} {text.count(old)} times, not once; look at what this"
            " version does there"
        )
    script.write_text(text.replace(old, new), encoding="utf-8", newline="\n")


def _copy(wheel: Path, out: Path) -> Path:
    """The wheel in `out`, without what TRIMMED leaves out of it."""
    unwanted = TRIMMED.get(wheel.name.split("-")[0])
    if not unwanted:
        return Path(shutil.copyfile(wheel, out / wheel.name))
    with (
        zipfile.ZipFile(wheel) as whole,
        zipfile.ZipFile(out / wheel.name, "w", zipfile.ZIP_DEFLATED) as rest,
    ):
        for item in whole.infolist():
            if not item.filename.startswith(unwanted):
                rest.writestr(item, whole.read(item), zipfile.ZIP_DEFLATED)
    return out / wheel.name


def _write_lock(lock: dict, out: Path) -> None:
    (out / "pyodide-lock.json").write_text(json.dumps(lock, indent=1), encoding="utf-8")


def merged(theirs: dict, wheels: list[Path], base: str) -> dict:
    """Pyodide's lock with our wheels (names relative to the lock) and the addresses below `base` of
    what stays Pyodide's."""
    environment = _environment(theirs["info"])
    ours = {entry["name"]: entry for entry in (_entry(wheel, environment) for wheel in wheels)}
    stays = {
        name: {**entry, "file_name": base + entry["file_name"]}
        for name, entry in _stays(theirs["packages"], ours).items()
    }
    packages = {**ours, **stays}
    for name, needs in UNSPOKEN.items():
        if name in packages:
            packages[name]["depends"] = sorted({*packages[name]["depends"], *needs})
    for name, entry in packages.items():
        entry["depends"] = [
            need for need in entry["depends"] if need not in FRONT_END or need in packages
        ]
        if name == "hf-inference-course":
            entry["depends"] = [need for need in entry["depends"] if need not in LATER]
        if missing := [need for need in entry["depends"] if need not in packages]:
            raise SiteFailed(
                f"{name} needs {', '.join(missing)}, which locks/site.txt does not have; run `make"
                " lock`"
            )
    return {**theirs, "packages": dict(sorted(packages.items()))}


def _stays(theirs: dict, ours: dict) -> dict:
    """FROM_PYODIDE and, of what they need, whatever is not ours already."""
    found, ask = {}, list(FROM_PYODIDE)
    while ask:
        name = ask.pop()
        if name not in found and name not in ours:
            if name not in theirs:
                raise SiteFailed(
                    f"this Pyodide has no {name}; see FROM_PYODIDE in authoring/site/wheels.py"
                )
            found[name] = dict(theirs[name])
            ask += theirs[name]["depends"]
    return found


def _entry(wheel: Path, environment: dict[str, str]) -> dict:
    """One package of the lock, from the wheel's own metadata."""
    name, version, _, _ = parse_wheel_filename(wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        files = archive.namelist()
        metadata = Parser().parsestr(
            archive.read(
                next(file for file in files if file.endswith(".dist-info/METADATA"))
            ).decode()
        )
    needs = [Requirement(line) for line in metadata.get_all("Requires-Dist") or []]
    modules = {
        file.split("/")[0].split(".")[0]
        for file in files
        if file.endswith((".py", ".so")) and ".data/" not in file
    }
    return {
        "name": str(name),
        "version": str(version),
        "file_name": wheel.name,
        "install_dir": "site",
        "package_type": "package",
        "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
        "imports": sorted(modules),
        "unvendored_tests": False,
        "depends": sorted(
            {
                canonicalize_name(need.name)
                for need in needs
                if need.marker is None or need.marker.evaluate(environment)
            }
        ),
    }


def _environment(info: dict) -> dict[str, str]:
    """What environment markers are compared with in the tab."""
    return {
        "sys_platform": "emscripten",
        "platform_system": "Emscripten",
        "os_name": "posix",
        "platform_machine": "wasm32",
        "python_version": info["python"].rpartition(".")[0],
        "python_full_version": info["python"],
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "extra": "",
    }
