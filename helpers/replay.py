"""Recorded answers: kept in one file a notebook, found by what a request means, played back in time.

A recording is a JSON array in `helpers/recordings/<notebook>.json`, one object for each different request:

    {"request": {"method", "url", "json"}, "answers": [{"status", "seconds", "headers", "answered_by", "json"}, …]}

A stream has `"stream": [[seconds, text], …]` instead of `"json"`; a picture has `"file"`, its name beside the recording.
The same request asked again gets the next answer, and the last one from then on.
"""

import base64
import hashlib
import json
import os
import re
import tempfile
import threading
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import urlsplit

from helpers.log import TOKEN
from helpers.wire import Answer

FOLDER = Path(__file__).with_name("recordings")

# Response headers worth keeping. Everything else, and every request header, is never written down.
KEEP = ("content-type", "location", "ratelimit", "ratelimit-policy", "retry-after", "retry-after-ms", "x-should-retry",
        "x-error-code", "x-error-message", "x-request-id", "x-compute-type", "x-compute-time", "x-inference-provider",
        "x-answered-by", "x-answered-weights", "x-answered-runtime")


class SecretFound(Exception):
    """Something that looks like an access token was about to be recorded. Nothing was written."""


def canonical(content: bytes) -> str:
    """The body as it is compared: JSON with sorted keys and no white space, or a hash of anything else."""
    if content[:1] in (b"{", b"["):
        return json.dumps(json.loads(content), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(content).hexdigest() if content else ""


def key(method: str, url: str, content: bytes) -> tuple[str, str, str]:
    """What a request means: method, URL and canonical body. Headers say who asks, not what."""
    try:
        return method, url, canonical(content)
    except ValueError:                      # not JSON after all
        return method, url, hashlib.sha256(content).hexdigest()


class Recording:
    """The recorded requests of one notebook, ready to answer. Looking one up takes the same time for 10 and for 10,000.

    problems : one line for each damaged part of the file, with its line number; the rest works.
    """

    def __init__(self, path: Path):
        self.path = Path(path)
        self.records, self.problems = read(self.path)
        self._lock = threading.Lock()
        self._index, self._asked = {}, {}
        for number, record in enumerate(self.records):
            try:
                self._index[_record_key(record)] = record
            except (KeyError, TypeError, AttributeError):
                self.problems.append(f"{self.path.name}: record {number + 1} has no request with method and url; skipped")

    def answer(self, method: str, url: str, content: bytes) -> tuple[Answer, dict] | None:
        """The next recorded answer to this request and its provenance; None if nobody recorded it."""
        asked = key(method, url, content)
        record = self._index.get(asked)
        if record is None:
            return None
        with self._lock:
            turn = self._asked.get(asked, 0)
            self._asked[asked] = turn + 1
        kept = record["answers"][min(turn, len(record["answers"]) - 1)]
        return _play(kept, self.path), kept.get("answered_by", {})

    def rewind(self) -> None:
        """Begin again: every request gets its first answer next."""
        self._asked.clear()

    def calls(self) -> list[dict]:
        """All recorded answers to requests that do work (POST), in order: what the notebook's calls cost."""
        return [answer for record in self.records if record["request"]["method"] == "POST" for answer in record["answers"]]

    def nearest(self, method: str, url: str, content: bytes) -> tuple[dict, list[str]] | None:
        """The recorded request most like this one, and the fields in which they differ."""
        mine = _flat(_loads(content))
        best = None
        for record in self.records:
            request = record["request"]
            theirs = _flat(request.get("json"))
            differing = [name for name in sorted(mine.keys() | theirs.keys()) if mine.get(name) != theirs.get(name)]
            distance = (request["method"] != method, request["url"] != url, len(differing))
            if best is None or distance < best[0]:
                best = distance, request, differing
        if best is None:
            return None
        _, request, differing = best
        said = [f"{name}: recorded {_short(_flat(request.get('json')).get(name))}, yours {_short(mine.get(name))}" for name in differing]
        if request["url"] != url:
            said.insert(0, f"url: recorded {request['url']}, yours {url}")
        if request["method"] != method:
            said.insert(0, f"method: recorded {request['method']}, yours {method}")
        return request, said


def miss(recording: Recording, method: str, url: str, content: bytes) -> Answer:
    """The answer to a request that nobody recorded: a 404 that both clients show and neither retries."""
    near = recording.nearest(method, url, content)
    text = "This is a replay, and nobody recorded this request. "
    if near:
        request, differing = near
        parts = urlsplit(request["url"])
        text += (f"The nearest recorded one is {request['method']} {parts.hostname}{parts.path}; "
                 f"it differs in {'; '.join(differing[:3]) or 'nothing but its form'}. ")
    else:
        text += f"{recording.path.name} has no recorded requests at all. "
    text += ("To see a recorded answer, change it back. To send your own request, switch this notebook to Practice "
             "(small models on this machine, free: run `make practice`) or to Live (your own token and credits).")
    body = json.dumps({"message": text, "errors": [{"message": text}], "code": "not_recorded"}, ensure_ascii=False)
    return Answer(404, {"content-type": "application/json"}, [(0.0, body.encode())])


# ---- the file ----------------------------------------------------------------------------------------------------


def read(path: Path) -> tuple[list[dict], list[str]]:
    """All records of a file, and one line for each part that cannot be read. A missing file has neither."""
    if not path.exists():
        return [], []
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        return json.loads(text), []
    except ValueError:
        pass
    # Damaged: each record starts with "{" alone on its line, so read them one by one.
    records, problems = [], []
    starts = [match.start() for match in re.finditer(r"^\{$", text, re.MULTILINE)] + [len(text)]
    for start, end in zip(starts, starts[1:]):
        line = text.count("\n", 0, start) + 1
        try:
            records.append(json.loads(text[start:end].rstrip().removesuffix("]").rstrip().removesuffix(",")))
        except ValueError as error:
            at = line + getattr(error, "lineno", 1) - 1
            problems.append(f"{path.name}, line {at}: the record that begins in line {line} cannot be read "
                            f"({getattr(error, 'msg', error)}); restore it with git, or record again")
    if not records and not problems:
        problems.append(f"{path.name}, line 1: this is not a recording; restore it with git, or record again")
    return records, problems


def check(path: Path) -> list[str]:
    """Everything wrong with one recording file: damaged records, missing pictures, missing provenance, secrets."""
    problems = Recording(path).problems
    for record in read(path)[0]:
        for answer in record.get("answers", []):
            if "file" in answer and not (path.with_suffix("") / answer["file"]).exists():
                problems.append(f"{path.name}: the picture {answer['file']} is missing; restore it with git, or record again")
            if not answer.get("answered_by", {}).get("model"):
                problems.append(f"{path.name}: an answer to {record['request']['url']} does not say who gave it")
    if secrets := TOKEN.findall(path.read_text(encoding="utf-8", errors="replace")):
        problems.append(f"{path.name}: holds {len(secrets)} text(s) that look like access tokens; revoke them and record again")
    return problems


def write(path: Path, records: list[dict]) -> None:
    """Write all records at once or not at all; a file that would not change is not touched.

    Raises SecretFound, before anything is written, if a record holds what looks like an access token.
    """
    text = "[\n" + ",\n".join(_pretty(record) for record in records) + "\n]\n"
    if found := TOKEN.search(text):
        raise SecretFound(f"{path.name}: not written, because a record holds what looks like an access token "
                          f"({found.group()[:5]}…). Take it out of the notebook and revoke it.")
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
    os.replace(temporary, path)


def _pretty(value, indent: int = 0, width: int = 110) -> str:
    """JSON that is short to read and to diff: what fits a line, and any list of plain values, stays on one line."""
    line = json.dumps(value, ensure_ascii=False)
    plain_list = isinstance(value, list) and not any(isinstance(item, (list, dict)) for item in value)
    if not value or not isinstance(value, (list, dict)) or plain_list or (indent and len(line) + indent <= width):
        return line
    pad = " " * (indent + 1)
    if isinstance(value, dict):
        items = [f"{pad}{json.dumps(name, ensure_ascii=False)}: {_pretty(item, indent + 1)}" for name, item in value.items()]
    else:
        items = [pad + _pretty(item, indent + 1) for item in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n" + ",\n".join(items) + f"\n{' ' * indent}{closing}"


def _play(kept: dict, path: Path) -> Answer:
    if "stream" in kept:
        chunks = [(seconds, text.encode() if isinstance(text, str) else base64.b64decode(text["base64"]))
                  for seconds, text in kept["stream"]]
        return Answer(kept["status"], kept["headers"], chunks, kept.get("headers_at", 0.0))
    if "json" in kept:
        body = json.dumps(kept["json"], ensure_ascii=False, separators=(",", ":")).encode()
    elif "file" in kept:
        body = (path.with_suffix("") / kept["file"]).read_bytes()
    else:
        body = kept.get("text", "").encode()
    return Answer(kept["status"], kept["headers"], [(kept["seconds"], body)], kept.get("headers_at", 0.0))


# ---- recording ---------------------------------------------------------------------------------------------------


class Recorder:
    """Collects what comes back while a notebook runs, and writes it to `<path>.new` after every answer.

    An answer that says the same as the one recorded before is kept as it was, with its old date and timing,
    so recording again changes nothing where nothing changed. The caller moves the new file into place when the
    whole notebook has run.
    """

    def __init__(self, path: Path):
        self.path, self.new = Path(path), Path(path).with_suffix(".json.new")
        self._old = {_record_key(record): record for record in read(self.path)[0]}
        self._records: dict[tuple, dict] = {}
        self._turns: dict[tuple, list[int]] = {}
        self._lock = threading.Lock()

    def add(self, number: int, method: str, url: str, content: bytes, answer: Answer, answered_by: dict) -> None:
        """Keep one answer to the `number`-th request of the session. Raises SecretFound rather than keep a token."""
        asked = key(method, url, content)
        with self._lock:
            record = self._records.setdefault(asked, {"request": {"method": method, "url": url}, "answers": []})
            if (body := _loads(content)) is not None:
                record["request"]["json"] = body
            if method == "GET" and urlsplit(url).hostname == "huggingface.co" and record["answers"]:
                return                                                  # the Hub's look-ups come in any number
            turns = self._turns.setdefault(asked, [])
            place = sum(1 for turn in turns if turn < number)           # concurrent answers, in the order of asking
            turns.insert(place, number)
            record["answers"].insert(place, self._keep(answer, answered_by))
            write(self.new, self._in_order())

    def _keep(self, answer: Answer, answered_by: dict) -> dict:
        headers = {name: answer.headers[name] for name in KEEP if name in answer.headers}
        body = b"".join(chunk for _, chunk in answer.chunks)
        seconds = answer.chunks[-1][0] if answer.chunks else answer.headers_at
        kept = {"status": answer.status, "seconds": round(seconds, 3), "headers_at": round(answer.headers_at, 3),
                "headers": headers, "answered_by": answered_by | {"date": datetime.now(timezone.utc).date().isoformat()}}
        kind = headers.get("content-type", "")
        if "event-stream" in kind:
            kept["stream"] = [[round(seconds, 3), _text(chunk)] for seconds, chunk in answer.chunks]
        elif kind.startswith(("image/", "audio/", "application/octet")):
            name = f"{hashlib.sha256(body).hexdigest()[:16]}.{kind.split('/')[1].split(';')[0]}"
            folder = self.path.with_suffix("")
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(body)
            kept["file"] = name
        elif (parsed := _loads(body)) is not None:
            kept["json"] = parsed
        else:
            kept["text"] = body.decode("utf-8", "replace")
        return kept

    def _in_order(self) -> list[dict]:
        """Known requests in their old order, new ones after; answers that say the same as before stay as they were."""
        wanted = [k for k in self._old if k in self._records] + [k for k in self._records if k not in self._old]
        records = []
        for asked in wanted:
            new, old = self._records[asked], self._old.get(asked, {"answers": []})["answers"]
            answers = [old[i] if i < len(old) and _same(old[i], answer) else answer for i, answer in enumerate(new["answers"])]
            records.append({**new, "answers": answers})
        return records


def _same(old: dict, new: dict) -> bool:
    """True if two answers say the same: all but times, dates and the ids that the service makes up for each answer."""
    return _meaning(old) == _meaning(new)


def _meaning(kept: dict) -> str:
    said = {name: kept.get(name) for name in ("status", "json", "text", "file")}
    said["stream"] = "".join(text if isinstance(text, str) else text["base64"] for _, text in kept.get("stream", []))
    said["by"] = {name: value for name, value in kept["answered_by"].items() if name != "date"}
    said["headers"] = {n: v for n, v in kept["headers"].items() if n not in ("x-request-id", "x-compute-time", "ratelimit")}
    text = json.dumps(said, sort_keys=True)
    return re.sub(r'(\\?"(?:id|created|createdAt|updatedAt)\\?": ?)(\\?"[^"\\]*\\?"|[0-9.]+)', r"\1", text)


# ---- small tools -------------------------------------------------------------------------------------------------


def _record_key(record: dict) -> tuple[str, str, str]:
    request = record["request"]
    body = json.dumps(request["json"], sort_keys=True, separators=(",", ":")) if "json" in request else ""
    return request["method"], request["url"], body


def _loads(content: bytes):
    try:
        return json.loads(content)
    except ValueError:
        return None


def _text(chunk: bytes) -> str | dict:
    try:
        return chunk.decode()
    except UnicodeDecodeError:              # a character cut in two by the network
        return {"base64": base64.b64encode(chunk).decode()}


def _flat(value, name: str = "") -> dict:
    """{"messages[0].content": "…", …}: every leaf of a JSON value under the path that leads to it."""
    if isinstance(value, dict):
        return {k: v for field, item in value.items() for k, v in _flat(item, f"{name}.{field}" if name else field).items()}
    if isinstance(value, list):
        return {k: v for i, item in enumerate(value) for k, v in _flat(item, f"{name}[{i}]").items()}
    return {name: value} if name else {}


def _short(value) -> str:
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"
