"""The one reader of event streams: server-sent events, as the WHATWG HTML standard has them (9.2).

A stream is lines, and a blank line ends an event. Lines end with LF, CRLF or CR; what one chunk of
bytes holds has nothing to do with either, so a chunk may end anywhere, also inside a character.
"""

import json
import re
from collections.abc import Iterable

Chunks = Iterable[tuple[float, bytes]]  # (seconds since the request was sent, what came)

_EOL = rb"(?>\r\n|\n|\r)"  # in one piece: a CRLF is never two ends of lines
_LINE, _BLANK_LINE = re.compile(_EOL), re.compile(_EOL + _EOL)
_BOM = b"\xef\xbb\xbf"  # a byte order mark: dropped before the first event, and nowhere else


def split(stream: bytes) -> list[bytes]:
    """The bytes cut behind each event; the last piece is what belongs to none yet, often b""."""
    ends = [0, *(found.end() for found in _BLANK_LINE.finditer(stream))]
    return [stream[a:b] for a, b in zip(ends, [*ends[1:], len(stream)])]


def pieces(chunks: Chunks) -> list[tuple[float, bytes]]:
    """The same stream in other chunks: one for each event, at the moment when it was complete.

    What comes after the last whole event is a chunk, too, so no byte is lost.
    """
    found, rest, last = [], b"", 0.0
    for last, chunk in chunks:
        *whole, rest = split(rest + chunk)
        found += [(last, event) for event in whole]
    return found + ([(last, rest)] if rest else [])


def data(event: bytes) -> str | None:
    """An event's data, its lines joined; None for one that has none, such as a comment."""
    fields = [line.decode("utf-8", "replace").partition(":") for line in _LINE.split(event)]
    found = [value.removeprefix(" ") for name, _, value in fields if name == "data"]
    return "\n".join(found) if found else None


def events(chunks: Chunks) -> list[tuple[float, dict]]:
    """[(seconds when the event was complete, its JSON), …]; `[DONE]` and what is no JSON is left
    out, and so is an event that the stream's end cut off."""
    found = []
    for number, (seconds, event) in enumerate(pieces(chunks)):
        if _BLANK_LINE.search(event):
            try:
                said = data(event if number else event.removeprefix(_BOM))
                found.append((seconds, json.loads(said or "")))
            except ValueError:
                continue
    return found
