"""The request log: what went over the wire, one row a request, whatever the mode.

    session.log                   the table (in a notebook), or the rows as text
    session.log.last              the newest row: .method .url .json .status .seconds .tokens
                                  .answered_by .response .events
    session.log.last.as_curl()    the same request for a terminal

It never holds a token: request headers are not kept, and what looks like a token in a URL or a body
is replaced when an entry is made.
"""

import html
import json
import shlex
from collections.abc import Iterator
from dataclasses import InitVar, dataclass, field, replace
from datetime import UTC, datetime
from urllib.parse import urlsplit

from helpers import plotting, sse
from helpers.tokens import mask, masked
from helpers.wire import Piece, Plan

# Response headers worth keeping: the lessons read them.
LIMITS = ("ratelimit", "ratelimit-policy", "retry-after", "retry-after-ms", "x-should-retry")
ERRORS = ("x-error-code", "x-error-message", "x-request-id")
COMPUTE = ("x-compute-type", "x-compute-time", "x-inference-provider")
ANSWERED = ("x-answered-by", "x-answered-weights", "x-answered-runtime")
KEEP = ("content-type", "location", *LIMITS, *ERRORS, *COMPUTE, *ANSWERED)


@dataclass
class Entry:
    """One request and what came back.

    number : 1 for the session's first request.
    mode : who was asked, "replay", "practice" or "live".
    plan : what came back, whole, and would come again; None while it is under way.
    chunks : what the client took of it so far: [(seconds since the request, bytes), …].
    seconds : how long the answer took when it was given for real (in replay: as recorded), None
        while it is under way.
    answered_by : the model (or service) that really answered.
    note : what the course did to this request (a miss, an injected fault), empty otherwise.
    at : when the request was sent, in UTC.
    clean : that URL and body are known to hold no token, so that nobody needs to look.
    """

    number: int
    method: str
    url: str
    content: bytes = field(repr=False)
    mode: str
    plan: Plan | None = field(default=None, repr=False)
    chunks: list[Piece] = field(default_factory=list, repr=False)
    seconds: float | None = None
    answered_by: str = ""
    note: str = ""
    at: datetime = field(default_factory=lambda: datetime.now(UTC), repr=False)
    clean: InitVar[bool] = False

    def __post_init__(self, clean: bool):
        if not clean:
            self.url, self.content = masked(self.url.encode()).decode(), masked(self.content)

    def play(self, plan: Plan, pace: float = 1.0) -> Plan:
        """`plan` as it is to be played for this request: what the client takes is noted here."""
        self.plan, self.seconds = plan, plan.seconds
        return replace(plan, pace=pace, taken=self.chunks.append)

    def take(self, piece: Piece) -> None:
        """Note a piece that comes from outside, and may hold a token."""
        self.chunks.append((piece[0], masked(piece[1])))

    def came(self, plan: Plan) -> None:
        """Note what came from outside, without tokens and without the headers that nobody needs."""
        headers = {name: mask(plan.headers[name]) for name in KEEP if name in plan.headers}
        chunks = [(moment, masked(chunk)) for moment, chunk in plan.chunks]
        self.plan, self.seconds = replace(plan, headers=headers, chunks=chunks), plan.seconds

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
        try:
            return json.loads(self.content)
        except ValueError:
            return None

    @property
    def status(self) -> int | None:
        """The HTTP status; None while under way, 0 if the connection broke before one came."""
        return self.plan and self.plan.status

    @property
    def headers(self) -> dict[str, str]:
        """The response headers that the course keeps."""
        return dict(self.plan.headers) if self.plan else {}

    @property
    def body(self) -> bytes:
        """The answer's bytes as far as they were read: a picture, for example."""
        return b"".join(chunk for _, chunk in self.chunks)

    @property
    def text(self) -> str:
        """The answer's body as text, as far as it was read."""
        return self.body.decode("utf-8", "replace")

    @property
    def response(self) -> dict | list | None:
        """The answer's JSON; None for streams, images and empty bodies."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def events(self) -> list[tuple[float, dict]]:
        """A stream's server-sent events: [(seconds since the request, data), …], without the
        closing `[DONE]`."""
        return sse.events(self.chunks)

    @property
    def usage(self) -> dict[str, int]:
        """Token counts as the service reports them: prompt_tokens, completion_tokens, total_tokens;
        {} if it says none."""
        found = [said["usage"] for said in bodies(self.chunks) if said.get("usage")]
        return found[-1] if found else {}

    @property
    def tokens(self) -> int | None:
        """Tokens read and written, as the service counted them; None if it did not say."""
        return self.usage.get("total_tokens")

    def as_curl(self) -> str:
        """The request as a curl command, with `$HF_TOKEN` where the token belongs."""
        lines = [f"curl -X {self.method} {shlex.quote(self.url)}"]
        if self.host.endswith(("huggingface.co", "huggingface.cloud")):  # nobody else is to see it
            lines.append('-H "Authorization: Bearer $HF_TOKEN"')
        if self.json is not None:
            body = shlex.quote(json.dumps(self.json, ensure_ascii=False))
            lines += ["-H 'Content-Type: application/json'", f"-d {body}"]
        return " \\\n  ".join(lines)

    def row(self) -> list[str]:
        """The cells of this request in the table."""
        took = "" if self.seconds is None else f"{self.seconds:.2f}"
        status = {None: "…", 0: "broken"}.get(self.status, str(self.status))
        who = f"{self.answered_by} ({self.note})".strip() if self.note else self.answered_by
        asked = [str(self.number), self.method, self.host, self.path]
        return [*asked, status, took, str(self.tokens or ""), who]


def bodies(chunks: list[Piece]) -> list[dict]:
    """The JSON objects in an answer: the one of a whole answer, or that of each event of a
    stream."""
    try:
        found = [json.loads(b"".join(chunk for _, chunk in chunks))]
    except ValueError:
        found = [data for _, data in sse.events(chunks)]
    return [said for said in found if isinstance(said, dict)]


COLUMNS = ["#", "method", "host", "path", "status", "seconds", "tokens", "answered by"]
RIGHT = ("#", "seconds", "tokens")


class Log:
    """The rows of a session, oldest first. Indexes and slices like a list.

    The table leaves out when a request was sent (`entry.at`), so that a notebook reads the same on
    every run.
    """

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
        return plotting.columns([COLUMNS, *(entry.row() for entry in self.entries)])

    def _repr_html_(self) -> str:
        """The same table for the notebook, where each row's JSON body opens when it is clicked."""
        rows = [(*row[:4], _body(entry), *row[4:]) for entry in self for row in [entry.row()]]
        return plotting.table(
            [*COLUMNS[:4], "JSON body", *COLUMNS[4:]],
            rows,
            lambda name, _: f"text-align:{'right' if name in RIGHT else 'left'};vertical-align:top",
            caption="Requests of this session",
            folded="JSON body",
        )


def _body(entry: Entry) -> str:
    """A request's JSON body folded away under the names of its fields."""
    if entry.json is None:
        return ""
    names = ", ".join(entry.json) if isinstance(entry.json, dict) else "a list"
    whole = html.escape(json.dumps(entry.json, ensure_ascii=False, indent=1))
    body = f"<pre style='min-width:22em'>{whole}</pre>"
    return f"<details><summary>{html.escape(names)}</summary>{body}</details>"
