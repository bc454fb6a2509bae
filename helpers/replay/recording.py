"""Recorded answers: kept in one file a notebook, found by what a request means, played back in
time.

The same request asked again gets the next recorded answer, and the last one from then on. What the
file looks like stands in storage.py, how it is made in recorder.py.
"""

import hashlib
import json
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from helpers.replay.storage import chunks, compact, read
from helpers.wire import Plan

Key = tuple[str, str, str]


# ---- what a request means ----------------------------------------------------------------------


def key(method: str, url: str, content: bytes) -> Key:
    """What a request means: method, URL and body. Headers say who asks, not what.

    A JSON body counts by its content (order of fields, white space and 1 or 1.0 do not matter), any
    other by its hash.
    """
    if not content:
        return method, url, ""
    try:
        return method, url, canonical(json.loads(content, parse_float=_number))
    except ValueError:
        return method, url, hashlib.sha256(content).hexdigest()


def canonical(value) -> str:
    """A JSON value in the one form in which equal values are equal texts."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _number(text: str) -> int | float:
    value = float(text)
    return int(value) if value.is_integer() else value


def record_key(record: dict) -> Key:
    """The key under which a recorded request is found."""
    request = record["request"]
    if "json" in request:
        return key(request["method"], request["url"], json.dumps(request["json"]).encode())
    return request["method"], request["url"], request.get("sha256", "")


# ---- finding and playing -----------------------------------------------------------------------


@dataclass(slots=True)
class _Known:
    """The answers to one request, each with its provenance, and how often it has come."""

    answers: list[tuple[Plan, dict]]
    asked: int = 0


class Recording:
    """The recorded requests of one notebook, ready to answer. Looking one up takes the same time
    for 10 and for 10,000.

    problems : one line for each damaged part of the file, with its line number; the rest works.
    """

    def __init__(self, path: Path):
        self.path = Path(path)
        self.records, self.problems = read(self.path)
        self._lock = threading.Lock()
        self._by_meaning: dict[Key, _Known] = {}
        # In front of it, the very bytes that the clients send for a recorded body: most requests
        # need no parsing.
        self._by_bytes: dict[tuple[str, str, bytes], _Known] = {}
        for record in reversed(self.records):  # of two equals the first
            request = record["request"]
            known = _Known([(self._plan(kept), kept["answered_by"]) for kept in record["answers"]])
            self._by_meaning[record_key(record)] = known
            if "sha256" not in request:
                body = compact(request["json"]) if "json" in request else b""
                self._by_bytes[request["method"], request["url"], body] = known

    def _plan(self, kept: dict) -> Plan:
        pieces = chunks(kept, self.path)
        return Plan(kept["status"], kept["headers"], pieces, kept.get("headers_at", 0.0))

    def holds(self, method: str, url: str, content: bytes) -> bool:
        """True if exactly this request was recorded; it is free of tokens then, as every recording
        is."""
        return (method, url, content) in self._by_bytes

    def answer(self, method: str, url: str, content: bytes) -> tuple[Plan, dict] | None:
        """The next recorded answer to this request and its provenance; None if there is none."""
        asked = method, url, content
        known = self._by_bytes.get(asked) or self._by_meaning.get(key(*asked))
        if known is None:
            return None
        with self._lock:
            found = known.answers[min(known.asked, len(known.answers) - 1)]
            known.asked += 1
        return found

    def calls(self) -> list[dict]:
        """All recorded answers to requests that do work (POST), in order: what the notebook's calls
        cost."""
        works = [record for record in self.records if record["request"]["method"] == "POST"]
        return [answer for record in works for answer in record["answers"]]

    def nearest(self, method: str, url: str, content: bytes) -> tuple[dict, list[str]] | None:
        """The recorded request most like this one, and the fields in which they differ, the most
        telling first."""
        try:
            body = json.loads(content)
        except ValueError:
            body = None
        mine = {"method": method, "url": url, **_leaves(body)}
        best, nearest = None, None
        for record in self.records:
            request = record["request"]
            theirs = {name: request[name] for name in ("method", "url")}
            theirs |= _leaves(request.get("json"))
            pairs = {name: (theirs.get(name), mine.get(name)) for name in theirs | mine}
            differing = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
            apart = sum(_gap(*pair) for pair in differing.values())
            distance = ("method" in differing, "url" in differing, len(differing), apart)
            if best is None or distance < best:
                best, nearest = distance, (request, differing)
        if nearest is None:
            return None
        request, differing = nearest
        said = "{}: recorded {}, yours {}".format
        return request, [said(name, *map(_short, pair)) for name, pair in differing.items()]


def miss(recording: Recording, method: str, url: str, content: bytes) -> Plan:
    """The answer to a request that nobody recorded: a 404 that both clients show and neither
    retries."""
    text = "This is a replay, and nobody recorded this request. "
    if near := recording.nearest(method, url, content):
        request, differing = near
        parts = urlsplit(request["url"])
        text += (
            f"The nearest recorded one is {request['method']} {parts.hostname}{parts.path}; "
            f"it differs in {'; '.join(differing[:3]) or 'nothing but its form'}. "
        )
    else:
        text += f"{recording.path.name} has no recorded requests at all. "
    if recording.problems:
        text += f"The recording is damaged ({recording.problems[0]}). "
    text += (
        "To see a recorded answer, change it back. To send your own request, switch this notebook"
        " to Practice (small models on this machine, free: run `make practice`) or to Live (your"
        " own token and credits)."
    )
    # openai prints "message", huggingface_hub prints "errors".
    told = {"message": text, "errors": [{"message": text}], "code": "not_recorded"}
    body = json.dumps(told, ensure_ascii=False).encode()
    return Plan(404, {"content-type": "application/json"}, [(0.0, body)])


def _leaves(value, name: str = "") -> dict:
    """{"messages[0].content": "…", …}: every leaf of a JSON value under the path that leads to
    it."""
    if isinstance(value, dict):
        inside = {f"{name}.{field}" if name else field: item for field, item in value.items()}
    elif isinstance(value, list):
        inside = {f"{name}[{i}]": item for i, item in enumerate(value)}
    else:
        return {name: value} if name else {}
    return {path: leaf for at, item in inside.items() for path, leaf in _leaves(item, at).items()}


def _gap(one, other) -> float:
    """How far two values of a field are apart, from 0 to 1: numbers by their ratio, texts by the
    words they share.

    A field that one of them lacks counts half: it matters less than quite another text.
    """
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return abs(one - other) / (abs(one) + abs(other) or 1)
    if isinstance(one, str) and isinstance(other, str):
        words, others = set(re.findall(r"\w+", one)), set(re.findall(r"\w+", other))
        return 1 - len(words & others) / (len(words | others) or 1)
    return 0.5


def _short(value) -> str:
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:79] + "…"
