"""The file a recording is kept in: read it (also when it is damaged), write it whole or not at all,
check it.

    [
    {"request": {"method", "url", "json"}, "answers": [{"status", "seconds", "headers",
    "answered_by", "json"}, …]}, … ]

A stream has `"stream": [[seconds, text], …]` instead of `"json"`; a picture has `"file"`, its name
in the folder beside the recording. No access token can get into it.
"""

import base64
import hashlib
import json
import os
import re
import tempfile
from pathlib import Path

from helpers.tokens import TOKEN, refuse_secrets

FOLDER = Path(__file__).resolve().parent.parent / "recordings"
MEND = "restore it with git, or record again"


def compact(value) -> bytes:
    """A JSON value as the clients and the service send it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")


def chunks(kept: dict, path: Path) -> list[tuple[float, bytes]]:
    """The body of a recorded answer in the pieces in which it came: [(seconds, bytes), …]. `path`
    is the recording's."""
    if "stream" in kept:
        return [
            (seconds, text.encode() if isinstance(text, str) else base64.b64decode(text["base64"]))
            for seconds, text in kept["stream"]
        ]
    if "json" in kept:
        body = compact(kept["json"])
    elif "file" in kept:
        body = (pictures(path) / kept["file"]).read_bytes()
    else:
        body = kept["text"].encode()
    return [(kept["seconds"], body)]


def stream(pieces: list[tuple[float, bytes]]) -> list[list]:
    """The pieces of a stream as they are kept: [[seconds, text], …]; {"base64"} where the network
    cut a character in two."""
    return [[round(seconds, 3), _text(chunk)] for seconds, chunk in pieces]


def _text(chunk: bytes) -> str | dict:
    try:
        return chunk.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(chunk).decode()}


def pictures(path: Path) -> Path:
    """The folder of a recording's pictures, beside it; also while the recording still ends in
    `.json.new`."""
    return path.with_name(path.name.split(".json")[0])


# ---- reading the file --------------------------------------------------------------------------


def read(path: Path) -> tuple[list[dict], list[str]]:
    """All usable records of a file, and one line for each part that is not usable. A missing file
    has neither."""
    path = Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return [], []
    except OSError as error:
        return [], [f"{path.name}: cannot be read ({error.strerror})"]
    try:
        found, problems = json.loads(content.decode()), []
        if not isinstance(found, list):
            what = "this is not a recording (a list of requests and answers)"
            return [], [f"{path.name}, line 1: {what}; {MEND}"]
    except ValueError:
        found, problems = _rescue(content, path.name)
    records = []
    for number, record in enumerate(found, 1):
        if wrong := _wrong(record, path):
            place = f"{path.name}, line {_line_of(record, content)}"
            problems.append(f"{place}: record {number} {wrong}; {MEND}")
        else:
            records.append(record)
    return records, problems


def _rescue(content: bytes, name: str) -> tuple[list, list[str]]:
    """What can still be read of a damaged file. Each record begins with a "{" alone on its line."""
    records, problems = [], []

    def note(line: int, wrong: str) -> None:
        problems.append(f"{name}, line {line}: {wrong}; {MEND}")

    starts = [found.start() for found in re.finditer(rb"^\{\r?$", content, re.MULTILINE)]
    starts.append(len(content))
    if len(starts) == 1 or content[: starts[0]].strip() != b"[":
        note(1, "this is not how a recording begins")
    for start, end in zip(starts, starts[1:]):
        line = content.count(b"\n", 0, start) + 1
        this = f"the record that begins in line {line}"
        try:
            text = content[start:end].decode()
            record, stopped = json.JSONDecoder().raw_decode(text)
            records.append(record)
            rest, at = text[stopped:], line + text.count("\n", 0, stopped)
            if rest.strip() not in ((",",) if end < len(content) else ("]",)):
                odd = json.dumps(rest.strip()[:40])
                note(at, f"what follows the record cannot be read ({odd})")
        except json.JSONDecodeError as error:
            note(line + error.lineno - 1, f"{this} cannot be read ({error.msg})")
        except UnicodeDecodeError as error:
            at = line + content.count(b"\n", start, start + error.start)
            note(at, f"{this} is not UTF-8")
    return records, problems


def _wrong(record, path: Path) -> str:
    """What is wrong with one record, as the end of a sentence; empty if it can be used."""
    if not isinstance(record, dict) or not isinstance(record.get("request"), dict):
        return "has no request"
    if not all(isinstance(record["request"].get(name), str) for name in ("method", "url")):
        return "has a request without method and url"
    if not isinstance(record.get("answers"), list) or not record["answers"]:
        return "has no answers"
    for answer in record["answers"]:
        try:
            if not 100 <= answer["status"] <= 599 or dict(answer["headers"]) != answer["headers"]:
                return "has an answer with a wrong status or wrong headers"
            if answer["answered_by"].get("model", "") is None:
                return "has an answer that does not say who gave it"
            chunks(answer, path)
        except FileNotFoundError:
            return f"needs the picture {answer['file']}, which is missing"
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            return f"has an answer that cannot be played ({type(error).__name__}: {error})"
    return ""


def _line_of(record, content: bytes) -> int:
    """The line in which a record begins, by its URL; 1 where that cannot be told."""
    request = record.get("request") if isinstance(record, dict) else None
    url = request.get("url") if isinstance(request, dict) else None
    place = content.find(json.dumps(url, ensure_ascii=False).encode()) if url else -1
    start = content.rfind(b"\n{", 0, place) + 1 if place >= 0 else 0
    return content.count(b"\n", 0, start) + 1


def check(path: Path) -> list[str]:
    """Everything wrong with one recording file: damaged records, altered pictures, missing
    provenance, secrets."""
    path = Path(path)
    records, damage = read(path)
    problems = []
    for record in records:
        for answer in record["answers"]:
            if not answer["answered_by"].get("model"):
                problems.append(f"an answer to {record['request']['url']} does not say who gave it")
            if picture := answer.get("file"):
                content = (pictures(path) / picture).read_bytes()
                if not picture.startswith(hashlib.sha256(content).hexdigest()[:16]):
                    problems.append(
                        f"the picture {picture} is not the one that was recorded; {MEND}"
                    )
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    if secrets := TOKEN.findall(text):
        found = f"holds {len(secrets)} text(s) that look like access tokens"
        problems.append(f"{found}; revoke them and record again")
    return damage + [f"{path.name}: {problem}" for problem in problems]


# ---- writing -----------------------------------------------------------------------------------


def write(path: Path, records: list[dict]) -> None:
    """Write all records or none; a file that would not change is not touched.

    Raises SecretFound, before anything is written, if a record holds what looks like an access
    token.
    """
    text = "[\n" + ",\n".join(pretty(record) for record in records) + "\n]\n"
    refuse_secrets(path.name, text)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_whole(path, text.encode())


def write_whole(path: Path, content: bytes) -> None:
    """Write beside the file first, under a name nobody else has, then put it in place in one step:
    whoever reads sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(part, 0o644)  # as open() would make it
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise


def pretty(value, indent: int = 0, width: int = 110) -> str:
    """JSON that is short to read and to diff: what fits a line, and any list of plain values, stays
    on one line."""
    line = json.dumps(value, ensure_ascii=False)
    fits = indent and len(line) + indent <= width
    if fits or not value or not isinstance(value, (list, dict)):
        return line
    if isinstance(value, dict):
        names = [json.dumps(name, ensure_ascii=False) + ": " for name in value]
        inside, (opening, closing) = list(value.values()), "{}"
    elif any(isinstance(item, (list, dict)) for item in value):
        names, inside, (opening, closing) = [""] * len(value), value, "[]"
    else:
        return line
    pad = "\n" + " " * indent
    items = [f"{pad} {name}{pretty(item, indent + 1)}" for name, item in zip(names, inside)]
    return opening + ",".join(items) + pad + closing
