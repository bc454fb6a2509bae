"""Run a notebook from top to bottom, away from everything personal, and keep its outputs fit for
comparing.

    python -m authoring.execute notebooks/01_first_call.ipynb exercises/01_first_call.ipynb

The kernel is the Python that runs this, the folder is the notebook's own, and the environment has
no token, no course settings, no progress and no Hub cache but what is passed in. What would differ
on every run (timing, widget ids, paths in tracebacks) is not kept.
"""

import argparse
import os
import re
import sys
import tempfile
import time
from pathlib import Path

import ipykernel.kernelspec
import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from helpers.replay.storage import write_whole

ROOT = Path(__file__).resolve().parent.parent
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
PERSONAL = (
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "HF_TOKEN_PATH",
    "OPENAI_API_KEY",
    "HF_ENDPOINT",
    "HF_HUB_OFFLINE",
    "MPLBACKEND",
    "OPENAI_BASE_URL",
    "HF_INFERENCE_ENDPOINT",
    "HF_OIDC_RESOURCE",
    "HUGGINGFACE_HUB_TOKEN",
)


class NotebookFailed(Exception):
    """A cell raised, took too long, or killed its kernel. The message says which cell and why."""


class _ThisPython(KernelSpecManager):
    """Every kernel is the current interpreter, whatever kernels are installed on this machine."""

    def get_kernel_spec(self, kernel_name):
        spec = self.kernel_spec_class(
            resource_dir=ipykernel.kernelspec.RESOURCES, **ipykernel.kernelspec.get_kernel_dict()
        )
        spec.argv.append(
            "--log-level=ERROR"
        )  # no warning about TCP for a kernel that only this machine can reach
        return spec


def execute(
    path: Path | str,
    environment: dict[str, str] | None = None,
    write: bool = True,
    timeout: float = 120,
    notebook: nbformat.NotebookNode | None = None,
) -> nbformat.NotebookNode:
    """Run the notebook at `path` and return it with its new outputs; with `write`, also store it
    there.

    environment : added to the clean environment, e.g. {"COURSE_MODE": "practice"}. Without it the
        notebook runs in replay, at once.
    timeout : seconds for one cell.
    notebook : run this instead of what stands at `path` (whose folder is still the working folder).

    Raises NotebookFailed; the file is then as it was. Cells tagged `raises-exception` may raise.
    """
    path = Path(path).resolve()
    notebook = nbformat.read(path, as_version=4) if notebook is None else notebook
    running = {"cell": 0}
    with tempfile.TemporaryDirectory(prefix="course-", ignore_cleanup_errors=True) as private:
        manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=_ThisPython())
        client = NotebookClient(
            notebook,
            km=manager,
            timeout=timeout,
            startup_timeout=240,
            record_timing=False,
            store_widget_state=False,
            coalesce_streams=True,
            resources={"metadata": {"path": str(path.parent)}},
            on_cell_start=lambda cell, cell_index: running.update(cell=cell_index + 1),
        )
        try:
            client.execute(env=clean_environment(Path(private)) | (environment or {}))
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            reason = (
                f"still running after {timeout:g} seconds"
                if isinstance(error, CellTimeoutError)
                else COLOUR.sub("", str(error)).strip()
            )
            raise NotebookFailed(
                f"{path.parent.name}/{path.name}, cell {running['cell']} of {len(notebook.cells)}:"
                f" {reason}"
            ) from error
    notebook = tidy(notebook)
    if write:
        save(notebook, path)
    return notebook


def clean_environment(private: Path) -> dict[str, str]:
    """The environment of a learner who has just arrived: nobody's token, cache or settings;
    everything private in a folder."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in PERSONAL and not name.startswith("COURSE_")
    }
    return kept | {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")])),
        "PYTHONHASHSEED": "0",
        "HF_HOME": str(private / "hf"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "IPYTHONDIR": str(private / "ipython"),
        "COURSE_MODE": "replay",
        "COURSE_PACE": "0",
        "COURSE_PROGRESS": str(private / "progress.json"),
    }


def tidy(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Without what differs from run to run or from machine to machine; the outputs that readers see
    stay."""
    notebook.metadata.pop("widgets", None)
    notebook.metadata.update(METADATA)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            # Widget ids are random and mean nothing to the next kernel: what stays is the same
            # content as text.
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
            if output.output_type == "error":  # a traceback shows this machine's folders
                output.traceback = [f"{output.ename}: {output.evalue}"]
    return notebook


def save(notebook: nbformat.NotebookNode, path: Path) -> bool:
    """Write the notebook whole or not at all; True if that changed the file."""
    nbformat.validate(notebook)
    text = nbformat.writes(notebook, version=4) + "\n"
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    write_whole(path, text.encode())
    return True


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m authoring.execute", description=__doc__.splitlines()[0]
    )
    parser.add_argument("notebooks", nargs="+", type=Path)
    failed = 0
    for path in parser.parse_args(arguments).notebooks:
        started = time.monotonic()
        try:
            execute(path)
            print(f"{path}: done in {time.monotonic() - started:.1f} s")
        except NotebookFailed as error:
            failed += 1
            print(f"FAILED {error}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
