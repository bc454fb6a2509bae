"""`make record`: run the notebooks against an upstream, keep what comes back, then run them again
in replay.

    python -m authoring.record                      every lesson, against the practice server
    python -m authoring.record 01 04                these lessons
    python -m authoring.record --upstream live 01   the real service: needs HF_TOKEN, asks first

A notebook that fails leaves its earlier recording as it was. An answer that says the same as the
recorded one is not replaced, so nothing changes in the files where nothing changed in the answers.
"""

import argparse
import contextlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2
from tqdm import tqdm

from authoring.execute import execute
from helpers.replay.cost import rough_cost
from helpers.replay.recording import Recording
from helpers.replay.storage import FOLDER, read

ROOT = Path(__file__).resolve().parent.parent
LONGEST = 900  # seconds for one notebook


def notebooks(wanted: list[str]) -> list[Path]:
    """The lessons whose number or name begins with one of `wanted`, in order; all of them if it is
    empty."""
    found = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    chosen = [
        path for path in found if not wanted or any(path.name.startswith(name) for name in wanted)
    ]
    if missing := [
        name for name in wanted if not any(path.name.startswith(name) for path in found)
    ]:
        raise SystemExit(
            f"no lesson begins with {', '.join(missing)}; there are"
            f" {', '.join(path.stem for path in found)}"
        )
    return chosen


@contextlib.contextmanager
def practice_server(weights: str):
    """A practice server of our own on a free port; yields its address. It ends with the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [
        sys.executable,
        "-m",
        "authoring.practice_server",
        "--port",
        str(port),
        "--weights",
        weights,
    ]
    server = subprocess.Popen(command, cwd=ROOT)
    try:
        for _ in range(240):
            if server.poll() is not None:
                raise SystemExit(
                    "the practice server ended before it was ready; its message is above"
                )
            with contextlib.suppress(httpx2.HTTPError):
                httpx2.get(url + "/health", timeout=1).raise_for_status()
                break
            time.sleep(0.5)
        else:
            raise SystemExit("the practice server did not get ready within two minutes")
        yield url
    finally:
        server.terminate()
        server.wait(10)


def record_one(path: Path, environment: dict[str, str]) -> dict[str, int]:
    """Record one notebook, move its recording into place, and run it again in replay so that its
    outputs are replay outputs.

    Returns how many answers are {"new", "changed", "kept", "gone"}. Raises what the notebook
    raised; then nothing has changed.
    """
    target = FOLDER / f"{path.stem}.json"
    new = target.with_suffix(".json.new")
    new.unlink(missing_ok=True)
    old = target.read_bytes() if target.exists() else None
    execute(path, environment=environment | {"COURSE_RECORD": "1"}, write=False, timeout=LONGEST)
    before = {_key(record): record["answers"] for record in read(target)[0]}
    if not new.exists():
        target.unlink(missing_ok=True)  # this lesson sends nothing
        after = {}
    else:
        after = {_key(record): record["answers"] for record in read(new)[0]}
        if not target.exists() or target.read_bytes() != new.read_bytes():
            os.replace(new, target)
        new.unlink(missing_ok=True)
    try:
        execute(
            path,
            environment={"COURSE_MODE": "replay", "COURSE_PACE": "0"},
            write=True,
            timeout=LONGEST,
        )
    except Exception:
        target.unlink(missing_ok=True) if old is None else target.write_bytes(old)
        raise
    _drop_unused_pictures(target)
    return _compare(before, after)


def _compare(before: dict, after: dict) -> dict[str, int]:
    counts = {"new": 0, "changed": 0, "kept": 0, "gone": 0}
    for name, answers in after.items():
        old = before.get(name, [])
        for i, answer in enumerate(answers):
            counts["new" if i >= len(old) else "kept" if old[i] == answer else "changed"] += 1
        counts["gone"] += max(0, len(old) - len(answers))
    counts["gone"] += sum(len(old) for name, old in before.items() if name not in after)
    return counts


def _key(record: dict) -> str:
    return repr(sorted(record["request"].items(), key=lambda item: item[0]))


def _drop_unused_pictures(target: Path) -> None:
    used = {
        answer["file"]
        for record in read(target)[0]
        for answer in record["answers"]
        if "file" in answer
    }
    for picture in target.with_suffix("").glob("*"):
        if picture.name not in used:
            picture.unlink()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m authoring.record", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "lessons", nargs="*", help="numbers or names of lessons; all if none is given"
    )
    parser.add_argument(
        "--upstream", choices=["practice", "live"], default=os.environ.get("UPSTREAM", "practice")
    )
    parser.add_argument(
        "--weights",
        choices=["qwen", "smollm2"],
        default="qwen",
        help="which weights answer chat in practice",
    )
    parser.add_argument("--yes", action="store_true", help="live: spend without asking")
    options = parser.parse_args(arguments)
    chosen = notebooks(options.lessons)
    with contextlib.ExitStack() as stack:
        if options.upstream == "live":
            if not os.environ.get("HF_TOKEN"):
                raise SystemExit(
                    'recording live needs HF_TOKEN with the permission "Make calls to Inference'
                    ' Providers"'
                )
            cost = sum(rough_cost(Recording(FOLDER / f"{path.stem}.json")) for path in chosen)
            print(
                f"{len(chosen)} notebooks, about ${cost:.2f} of credits by the last recording and"
                " the prices of models.toml."
            )
            if not options.yes and input("Record live now? [y/N] ").strip().lower() != "y":
                return 1
            environment = {"COURSE_MODE": "live", "HF_TOKEN": os.environ["HF_TOKEN"]}
        else:
            environment = {
                "COURSE_MODE": "practice",
                "COURSE_PRACTICE_URL": stack.enter_context(practice_server(options.weights)),
            }
        lines, failed = [], []
        for path in tqdm(chosen, unit="notebook", desc=f"recording ({options.upstream})"):
            try:
                counts = record_one(path, environment)
                lines.append(
                    f"{path.stem}: "
                    + ", ".join(f"{count} {name}" for name, count in counts.items())
                )
            except Exception as error:
                failed.append(path.stem)
                lines.append(f"{path.stem}: FAILED, its earlier recording is untouched.\n{error}")
    print("\n".join(lines))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
