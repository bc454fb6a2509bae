"""What a learner has done, kept in progress.json beside the notebook."""

import json
import os
from pathlib import Path

from helpers.replay.storage import write_whole


def progress_file() -> Path:
    """Where progress is kept: COURSE_PROGRESS, else progress.json beside the notebook."""
    return Path(os.environ.get("COURSE_PROGRESS") or "progress.json")


class Progress:
    """What a learner has done in one exercise: {"1": {"done": "2026-11-23", "hints": 2}, "5":
    {"answers": {"1": "b"}}}.

    The file holds all exercises of a folder. It is written whole or not at all; one that cannot be
    read is put aside under another name, and one that cannot be written costs nothing but the
    memory of what was done.
    """

    def __init__(self, path: Path, exercise: str):
        self.path, self.exercise = Path(path), exercise
        self._told = False
        self.tasks: dict[str, dict] = self._read().get(exercise, {})

    def of(self, number: int) -> dict:
        """The notes on one task: "done" (the day), "hints" (how many were opened), "answers"
        ({question: letter})."""
        return self.tasks.get(str(number), {})

    def note(self, number: int, **facts) -> None:
        """Add facts about one task and write the file, if that changes anything."""
        new = {**self.of(number), **facts}
        if new != self.of(number):
            self.tasks[str(number)] = new
            self._write()

    def _read(self) -> dict:
        try:
            return _whole(json.loads(self.path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return {}
        except (ValueError, OSError) as error:
            aside = self.path.with_suffix(".damaged.json")
            try:
                os.replace(self.path, aside)
                kept = f"It is kept as {aside.name}; y"
            except OSError:
                kept = "Y"
            lost = f"Your progress in {self.path.name} could not be read ({error})"
            print(f"{lost}. {kept}our progress starts anew.")
            return {}

    def _write(self) -> None:
        try:
            # Another notebook may have written since.
            everything = self._read() | {self.exercise: self.tasks}
            write_whole(self.path, json.dumps(everything, indent=1, sort_keys=True).encode())
        except OSError as error:
            if not self._told:
                why = f"{self.path.name} ({error.strerror or error})"
                print(f"Your progress cannot be kept in {why}. Everything else works.")
            self._told = True


def _whole(everything: object) -> dict:
    """The same; raises ValueError unless it has the shape of a progress file."""
    if not isinstance(everything, dict):
        raise ValueError("it is not a JSON object")
    for exercise, tasks in everything.items():
        if not isinstance(tasks, dict) or not all(
            isinstance(facts, dict)
            and isinstance(facts.get("hints", 0), int)
            and isinstance(facts.get("answers", {}), dict)
            for facts in tasks.values()
        ):
            raise ValueError(f"the entry {exercise!r} is damaged")
    return everything
