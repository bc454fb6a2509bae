"""The request log: what went over the wire, one row a request, whatever the mode.

    session.log           the table (in a notebook), or the rows as text
    session.log.last      the newest row: .method .url .json .status .seconds .tokens .answered_by .response .events
    session.log.last.as_curl()    the same request for a terminal

It never holds a token: headers are not kept, and anything that looks like a token in a URL or body is masked.
"""

import html
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from urllib.parse import urlsplit

from helpers.wire import Answer

TOKEN = re.compile(r"\b(hf|sk|r8)_[A-Za-z0-9_-]{16,}|\bsk-[A-Za-z0-9_-]{16,}")


def mask(text: str) -> str:
    """`text` with everything that looks like an access token replaced by `$HF_TOKEN`."""
    return TOKEN.sub("$HF_TOKEN", text)


@dataclass
class Entry:
    """One request and what came back.

    seconds : how long the answer took when it was given for real (in replay: as recorded), None while it is under way.
    answered_by : the model (or service) that really answered.
    note : what the course did to this request (a miss, an injected fault), empty otherwise.
    """

    number: int
    method: str
    url: str
    content: bytes
    mode: str
    answer: Answer | None = None
    seconds: float | None = None
    answered_by: str = ""
    note: str = ""
    at: datetime = field(default_factory=lambda: datetime.now(timezone.utc))

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def path(self) -> str:
        parts = urlsplit(self.url)
        return parts.path + ("?" + parts.query if parts.query else "")

    @property
    def json(self) -> dict | list | None:
        """The request's JSON body; None where there was none."""
        return json.loads(mask(self.content.decode("utf-8", "replace"))) if self.content[:1] in (b"{", b"[") else None

    @property
    def status(self) -> int | None:
        """The HTTP status; None while under way, 0 if the connection broke before one came."""
        return self.answer and self.answer.status

    @property
    def headers(self) -> dict[str, str]:
        """The response headers that the course keeps."""
        return dict(self.answer.headers) if self.answer else {}

    @property
    def chunks(self) -> list[tuple[float, bytes]]:
        """The pieces of the answer that the client took: [(seconds since the request, bytes), …]."""
        return self.answer.delivered if self.answer else []

    @property
    def text(self) -> str:
        """The answer's body as far as it was read."""
        return b"".join(chunk for _, chunk in self.chunks).decode("utf-8", "replace")

    @property
    def response(self) -> dict | list | None:
        """The answer's JSON; None for streams, images and empty bodies."""
        try:
            return json.loads(self.text)
        except ValueError:
            return None

    @property
    def events(self) -> list[tuple[float, dict]]:
        """A stream's server-sent events: [(seconds since the request, data), …], without the closing `[DONE]`."""
        found, rest = [], ""
        for seconds, chunk in self.chunks:
            rest += chunk.decode("utf-8", "replace")
            *lines, rest = rest.split("\n")
            for line in lines:
                data = line.removeprefix("data:").strip()
                if line.startswith("data:") and data != "[DONE]":
                    found.append((seconds, json.loads(data)))
        return found

    @property
    def usage(self) -> dict[str, int]:
        """Token counts as the service reports them: prompt_tokens, completion_tokens, total_tokens; {} if it says none."""
        bodies = [self.response] if self.response is not None else [data for _, data in reversed(self.events)]
        return next((body["usage"] for body in bodies if isinstance(body, dict) and body.get("usage")), {})

    @property
    def tokens(self) -> int | None:
        return self.usage.get("total_tokens")

    def as_curl(self) -> str:
        """The request as a curl command, with `$HF_TOKEN` where the token belongs."""
        lines = [f"curl -X {self.method} {shlex.quote(mask(self.url))}", '-H "Authorization: Bearer $HF_TOKEN"']
        if self.json is not None:
            lines += ["-H 'Content-Type: application/json'", "-d " + shlex.quote(json.dumps(self.json, ensure_ascii=False))]
        return " \\\n  ".join(lines)

    def row(self) -> list[str]:
        """The cells of this request in the table."""
        took = "" if self.seconds is None else f"{self.seconds:.2f}"
        status = {None: "…", 0: "broken"}.get(self.status, str(self.status))
        return [str(self.number), self.method, self.host, self.path, status, took, str(self.tokens or ""),
                self.answered_by + (f" ({self.note})" if self.note else "")]


COLUMNS = ["#", "method", "host", "path", "status", "seconds", "tokens", "answered by"]


class Log:
    """The rows of a session, oldest first. Indexes and slices like a list."""

    def __init__(self, entries: list[Entry] | None = None):
        self.entries: list[Entry] = [] if entries is None else entries

    @property
    def last(self) -> Entry:
        """The newest row; IndexError if nothing was sent yet."""
        if not self.entries:
            raise IndexError("the log is empty: no request has been sent since start()")
        return self.entries[-1]

    def calls(self) -> "Log":
        """Only the requests that do work (POST), without the Hub's look-ups."""
        return Log([entry for entry in self.entries if entry.method == "POST"])

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __getitem__(self, index):
        return Log(self.entries[index]) if isinstance(index, slice) else self.entries[index]

    def __repr__(self) -> str:
        rows = [COLUMNS, *(entry.row() for entry in self.entries)]
        widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
        return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)

    def _repr_html_(self) -> str:
        head = "".join(f"<th scope='col' style='text-align:left'>{name}</th>" for name in COLUMNS)
        body = "".join(
            "<tr>" + "".join(f"<td style='text-align:left'>{html.escape(cell)}</td>" for cell in entry.row()) + "</tr>"
            for entry in self.entries
        )
        return f"<table><caption>Requests of this session</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
