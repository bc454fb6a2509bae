"""Build the site into _site/.

python -m authoring.site             build (what `make site` does)
python -m authoring.site serve       look at it: http://127.0.0.1:8000/ (--port for another)
python -m authoring.site lock        pin the wheels anew in locks/site.txt (`make lock` does)
"""

import argparse
import functools
import http.server
import json
import re
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from authoring import npm
from authoring.site import distribution, wheels
from authoring.site.wheels import ROOT, SiteFailed

OUT = ROOT / "_site"
FOLDERS = ("notebooks", "exercises", "solutions")
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)\s#]+)")
KERNEL = "@jupyterlite/pyodide-kernel-extension"

# JupyterLite's service worker passes on every file of the site, also when it keeps none of them,
# and a lesson opens with some 170. What it is for here is the learner's own files.
PASSED_ON, NOT_PASSED_ON = (
    "shouldDrop(t,a)||(n=maybeFromCache(e))",
    "shouldDrop(t,a)||!enableCache||(n=maybeFromCache(e))",
)

# The kernel asks whether the service worker is there, which keeps the learner's files, and does not
# wait until that is known: after the first reload it often came too early, and had no progress.
TOO_EARLY, IN_TIME = (
    "(null==i?void 0:i.enabled)||",
    "navigator.serviceWorker&&i&&await Promise.race([i.ready.then(()=>!0),"
    "new Promise(late=>setTimeout(late,3e4))]).catch(()=>!1)||",
)

# The site's front page leads to the first lesson. JupyterLite's other pages read the script
# element.
INDEX = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Calling hosted models on Hugging Face from Python</title>
<script id="jupyter-config-data" type="application/json" data-jupyter-lite-root=".">{{}}</script>
<meta http-equiv="refresh" content="0; url=lab/index.html?path={first}">
<p><a href="lab/index.html?path={first}">Open the first lesson</a></p>
</html>
"""


def pyodide_version() -> str:
    """The version of Pyodide that the installed kernel was made for."""
    schema = (
        Path(sys.prefix)
        / "share/jupyter/labextensions"
        / KERNEL
        / "static/schema/kernel.v0.schema.json"
    )
    try:
        address = json.loads(schema.read_text(encoding="utf-8"))["properties"]["pyodideUrl"][
            "default"
        ]
    except FileNotFoundError as error:
        raise SiteFailed(
            "jupyterlite-pyodide-kernel is not installed; `make site` installs it first"
        ) from error
    return re.search(r"/v([\d.]+)/", address)[1]


def pyodide() -> tuple[Path, dict, str]:
    """Pyodide's folder as npm has it, its lock's "info", and its version. Raises SiteFailed if the
    pin is another version."""
    version = pyodide_version()
    pinned = npm.pinned("pyodide")
    if pinned != version:
        raise SiteFailed(
            f"the kernel was made for pyodide {version} and authoring/package.json pins {pinned};"
            f" pin {version} there"
        )
    folder = npm.package("pyodide")
    return (
        folder,
        json.loads((folder / "pyodide-lock.json").read_text(encoding="utf-8"))["info"],
        version,
    )


def build(out: Path = OUT) -> Path:
    """Build the whole site into `out`, which is replaced, and return it. Raises SiteFailed or
    npm.NpmFailed."""
    core, info, version = pyodide()
    python = info["python"].rpartition(".")[0]
    kernels = sorted(
        (Path(sys.prefix) / "share/jupyter/labextensions" / KERNEL / "static/pypi").glob("*.whl")
    )
    with tempfile.TemporaryDirectory() as scratch:
        lite, made = Path(scratch) / "lite", Path(scratch) / "site"
        own = wheels.course(Path(scratch) / "wheel")
        distribution.write(
            core,
            [*wheels.fetch(info["abi_version"], python), *kernels, own],
            lite / "static" / "pyodide",
            version,
        )
        copy_course(lite / "files")
        (lite / "jupyter-lite.json").write_text(json.dumps(settings(), indent=1), encoding="utf-8")
        (lite / "overrides.json").write_text(json.dumps(OVERRIDES, indent=1), encoding="utf-8")
        wheels.run(
            [
                sys.executable,
                "-m",
                "jupyterlite_core",
                "build",
                "--lite-dir",
                lite,
                "--contents",
                lite / "files",
                "--output-dir",
                made,
                "--apps",
                "lab",
                "--no-sourcemaps",
                "--no-unused-shared-packages",
            ],
            folder=lite,
        )
        distribution.replace_once(made / "service-worker.js", PASSED_ON, NOT_PASSED_ON)
        scripts = sorted((made / "extensions" / KERNEL / "static").glob("*.js"))
        has_it = (one for one in scripts if TOO_EARLY in one.read_text(encoding="utf-8"))
        starts = next(has_it, scripts[0])  # of another version: refused, as it is not there
        distribution.replace_once(starts, TOO_EARLY, IN_TIME)
        first = min(
            path.relative_to(lite / "files").as_posix()
            for path in (lite / "files" / "notebooks").glob("*.ipynb")
        )
        (made / "index.html").write_text(INDEX.format(first=first), encoding="utf-8")
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(made, out)
    return out


def settings() -> dict:
    """What JupyterLite is told: the packages to load with Python, and to ask nobody else for
    one."""
    return {
        "jupyter-lite-schema-version": 0,
        "jupyter-config-data": {
            "appName": "Calling hosted models from Python",
            "exposeAppInBrowser": True,
            "disabledExtensions": [
                "@jupyterlab/apputils-extension:announcements",
                "@jupyterlab/extensionmanager-extension",
            ],
            "litePluginSettings": {
                f"{KERNEL}:kernel": {
                    "disablePyPIFallback": True,
                    "loadPyodideOptions": {
                        "packages": list(distribution.AT_ONCE),
                        "env": distribution.ENVIRONMENT,
                    },
                },
            },
        },
    }


OVERRIDES = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
}


def copy_course(out: Path) -> None:
    """The notebooks into `out`, and whatever files of the course they link to."""
    for folder in FOLDERS:
        (out / folder).mkdir(parents=True)
        for notebook in sorted((ROOT / folder).glob("*.ipynb")):
            shutil.copyfile(notebook, out / folder / notebook.name)
            for link in linked(notebook):
                target = (notebook.parent / link).resolve()
                if (
                    target.is_file()
                    and target.is_relative_to(ROOT)
                    and target.parent.name not in FOLDERS
                ):
                    copy = out / target.relative_to(ROOT)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(target, copy)


def linked(notebook: Path) -> set[str]:
    """The relative links in a notebook's text."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return {
        link
        for cell in cells
        if cell["cell_type"] == "markdown"
        for link in LINK.findall("".join(cell["source"]))
    }


def size(site: Path) -> str:
    """In words: how big the site is, and what of it Python and its packages take."""
    files = [path for path in site.rglob("*") if path.is_file()]
    total = sum(path.stat().st_size for path in files)
    python = sum(path.stat().st_size for path in (site / "static" / "pyodide").iterdir())
    return (
        f"{total / 1e6:.1f} MB in {len(files)} files; Python and its packages are"
        f" {python / 1e6:.1f} MB of it"
    )


class Handler(http.server.SimpleHTTPRequestHandler):
    """A plain static server that knows the two kinds of file which older ones do not."""

    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {
        ".mjs": "text/javascript",
        ".js": "text/javascript",
        ".wasm": "application/wasm",
    }

    def log_message(self, *_):
        pass


def server(site: Path, port: int = 0) -> http.server.ThreadingHTTPServer:
    """A server of the folder on this machine; port 0 takes a free one. The caller runs and closes
    it."""
    return http.server.ThreadingHTTPServer(
        ("127.0.0.1", port), functools.partial(Handler, directory=str(site))
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m authoring.site",
        description="The course as a static site, with Python in the browser tab.",
    )
    parser.add_argument("action", nargs="?", choices=("build", "serve", "lock"), default="build")
    parser.add_argument("--out", type=Path, default=OUT, help="the site's folder (default: _site)")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument(
        "--upgrade", action="store_true", help="lock: take the newest that locks/test.txt allows"
    )
    asked = parser.parse_args(arguments)
    try:
        if asked.action == "lock":
            _, info, _ = pyodide()
            wheels.lock(info["python"].rpartition(".")[0], ["--upgrade"] if asked.upgrade else [])
        elif asked.action == "build":
            print(f"{build(asked.out)}: {size(asked.out)}")
        else:
            if not (asked.out / "index.html").exists():
                raise SiteFailed(f"there is no site in {asked.out} yet; `make site` builds it")
            with server(asked.out, asked.port) as running:
                print(f"http://127.0.0.1:{running.server_port}/ (Ctrl+C ends it)")
                with suppress(KeyboardInterrupt):
                    running.serve_forever()
    except (SiteFailed, npm.NpmFailed) as error:
        print(f"Not done: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
