"""How recordings are made (`make record`): keep what comes back, refuse what is secret, write all
of it or nothing.

What is written: the request's method, URL and JSON body; the answer's status, a list of harmless
headers, its body in the pieces in which it came, and who gave it. Never written: request headers,
other response headers, anything that looks like an access token.
"""

import hashlib
import json
import re
import threading
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from helpers import sse
from helpers.log import KEEP
from helpers.replay.recording import key, record_key
from helpers.replay.storage import chunks, read, stream, write, write_whole
from helpers.tokens import refuse_secrets
from helpers.wire import Plan


class Recorder:
    """Collects what comes back while a notebook runs, and writes it to `<path>.new` after every
    answer.

    An answer that says the same as the one recorded before is kept as it was, with its old date and
    timing, so recording again changes nothing where nothing changed. The caller moves the new file
    into place when the whole notebook has run; until then the earlier recording is untouched.
    """

    def __init__(self, path: Path):
        self.path, self.new = Path(path), Path(path).with_suffix(".json.new")
        self._old = {record_key(record): record for record in read(self.path)[0]}
        self._records: dict[tuple, dict] = {}
        self._turns: dict[tuple, list[int]] = {}
        self._lock = threading.Lock()

    def add(
        self, number: int, method: str, url: str, content: bytes, plan: Plan, answered_by: dict
    ) -> None:
        """Keep one answer to the `number`-th request of the session. Raises SecretFound rather than
        keep a token."""
        host = urlsplit(url).hostname
        refuse_secrets(f"The request to {host}", url, content.decode("utf-8", "replace"))
        kept = self._keep(plan, answered_by)
        asked, new = key(method, url, content), _request(method, url, content)
        with self._lock:
            record = self._records.setdefault(asked, {"request": new, "answers": []})
            if method == "GET" and host == "huggingface.co" and record["answers"]:
                return  # the Hub's look-ups come in any number
            turns = self._turns.setdefault(asked, [])
            place = sum(turn < number for turn in turns)  # concurrent ones in the order of asking
            turns.insert(place, number)
            record["answers"].insert(place, kept)
            write(self.new, self._in_order())

    def _keep(self, plan: Plan, answered_by: dict) -> dict:
        body = b"".join(chunk for _, chunk in plan.chunks)
        headers = {name: plan.headers[name] for name in KEEP if name in plan.headers}
        # A token may come in several pieces.
        said = "".join(_said(event) for _, event in sse.events(plan.chunks))
        refuse_secrets("The answer", body.decode("utf-8", "replace"), said, *headers.values())
        kept = {
            "status": plan.status,
            "seconds": round(plan.seconds, 3),
            "headers_at": round(plan.headers_at, 3),
            "headers": headers,
            "answered_by": answered_by | {"date": datetime.now(UTC).date().isoformat()},
        }
        if "event-stream" in headers.get("content-type", ""):
            return kept | {"stream": stream(plan.chunks)}
        try:
            text = body.decode()
        except UnicodeDecodeError:
            return kept | {"file": self._keep_file(body, headers.get("content-type", ""))}
        try:
            return kept | {"json": json.loads(text)}
        except ValueError:
            return kept | {"text": text}

    def _keep_file(self, body: bytes, kind: str) -> str:
        """Put a picture beside the recording, named after its content, so that one name never means
        two pictures."""
        suffix = re.match(r"(?:image|audio|video)/(\w+)", kind)
        name = f"{hashlib.sha256(body).hexdigest()[:16]}.{suffix[1] if suffix else 'bin'}"
        path = self.path.with_suffix("") / name
        if not path.exists() or path.read_bytes() != body:
            write_whole(path, body)
        return path.name

    def _in_order(self) -> list[dict]:
        """Known requests in their old order, new ones after; answers that say the same as before
        stay as they were."""
        known = [asked for asked in self._old if asked in self._records]
        records = []
        for asked in dict.fromkeys([*known, *self._records]):
            new, old = self._records[asked], self._old.get(asked, {"answers": []})
            answers = list(new["answers"])
            for place, (before, answer) in enumerate(zip(old["answers"], new["answers"])):
                if says_the_same(before, answer):
                    answers[place] = before
            records.append({"request": new["request"], **old, "answers": answers})
        return records


def says_the_same(old: dict, new: dict) -> bool:
    """True if two answers differ in nothing but times, dates and the ids that the service makes up
    for each answer."""
    return _meaning(old) == _meaning(new)


def _meaning(kept: dict) -> str:
    said = {name: kept.get(name) for name in ("status", "text", "file")}
    said["json"] = _timeless(kept.get("json"))
    events = sse.events(chunks(kept, Path())) if "stream" in kept else []
    said["stream"] = _timeless([event for _, event in events])
    said["by"] = {name: it for name, it in kept["answered_by"].items() if name != "date"}
    passing = ("x-request-id", "x-compute-time", "ratelimit")
    said["headers"] = {name: it for name, it in kept["headers"].items() if name not in passing}
    return json.dumps(said, sort_keys=True)


def _timeless(value, made_up: bool = False):
    """A JSON value without moments, and without the ids of chat answers and their tool calls."""
    if isinstance(value, list):
        return [_timeless(item, made_up) for item in value]
    if isinstance(value, dict):
        made_up = made_up or "choices" in value
        moments = {"created", "createdAt", "updatedAt"} | ({"id"} if made_up else set())
        return {
            name: _timeless(item, made_up) for name, item in value.items() if name not in moments
        }
    return value


def _request(method: str, url: str, content: bytes) -> dict:
    request = {"method": method, "url": url}
    try:
        return request | {"json": json.loads(content)} if content else request
    except ValueError:
        return request | {"sha256": hashlib.sha256(content).hexdigest()}


def _said(event: dict) -> str:
    choices = event.get("choices") if isinstance(event, dict) else None
    return "".join((choice.get("delta") or {}).get("content") or "" for choice in choices or [])
