"""The reader of event streams, by the standard's own cases and by every cut of real streams."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import sse
from helpers.replay import storage

ENDS = (b"\n", b"\r\n", b"\r")


def recorded() -> list[bytes]:
    """Real streams, one of each lesson that has any, whole."""
    found = {}
    for path in sorted(storage.FOLDER.glob("*.json")):
        for record in json.loads(path.read_text(encoding="utf-8")):
            for answer in record["answers"]:
                if "stream" in answer:
                    found[path] = b"".join(one for _, one in storage.chunks(answer, Path(path)))
    return [stream[:1500] for stream in found.values()]


STREAMS = recorded()


def read(*chunks: bytes):
    return [event for _, event in sse.events([(float(i), one) for i, one in enumerate(chunks)])]


@pytest.mark.parametrize("end", ENDS)
def test_every_cut_of_a_real_stream_reads_the_same(end):
    assert len(STREAMS) >= 3
    for stream in STREAMS:
        stream = stream.replace(b"\n", end)
        whole = read(stream)
        assert len(whole) > 3
        for cut in range(len(stream) + 1):
            assert read(stream[:cut], stream[cut:]) == whole
            pieces = sse.pieces([(0.0, stream[:cut]), (1.0, stream[cut:])])
            assert b"".join(piece for _, piece in pieces) == stream


@given(
    stream=st.sampled_from(STREAMS),
    end=st.sampled_from(ENDS),
    cuts=st.lists(st.integers(0, 1500), max_size=40),
)
def test_many_cuts_of_a_real_stream_read_the_same(stream, end, cuts):
    stream = stream.replace(b"\n", end)
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    chunks = [stream[a:b] for a, b in zip(places, places[1:])]
    assert read(*chunks) == read(stream)
    pieces = [piece for _, piece in sse.pieces([(0.0, one) for one in chunks])]
    assert b"".join(pieces) == stream
    assert len(pieces) <= len(sse.split(stream)) + 1, "one piece an event"


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(
    ("stream", "said"),
    [
        ('data: {"a": 1}\n\n', [{"a": 1}]),
        ('data:{"a": 1}\n\n', [{"a": 1}]),
        ('data:  "two spaces, one goes"\n\n', ["two spaces, one goes"]),
        ('data: {"a":\ndata: 1}\n\n', [{"a": 1}]),  # several lines of data are one
        (": a comment\n\ndata: 1\n\n: another\ndata: 2\n\n", [1, 2]),
        ("event: x\nid: 7\nretry: 9\ndata: 1\nother: 3\n\n", [1]),
        ("\ufeffdata: 1\n\n", [1]),  # a byte order mark before all else
        ("\ufeff\ufeffdata: 1\n\n", []),  # one, and only there
        ("data: 1\n\n\ufeffdata: 2\n\n\ufeff\n\ndata: 3\n\n", [1, 3]),
        ("\ufeff", []),
        ("data\n\ndata: 1\n\n", [1]),  # a field without a value
        ("data: 1\n\ndata: [DONE]\n\n", [1]),
        ("data: 1\n\ndata: <html>\n\ndata: 2\n\n", [1, 2]),
        ("data: 1\n\n\n\ndata: 2\n\n", [1, 2]),
        ("data: 1\n\ndata: 2\n", [1]),  # the stream's end cut the second one off
        ("data: 1\n\ndata: 2", [1]),
        ('data: "é 推論"\n\n', ["é 推論"]),
        ("", []),
    ],
)
def test_by_the_standard(stream, said, end):
    content = stream.encode().replace(b"\n", end)
    assert read(content) == said
    assert read(*(bytes([byte]) for byte in content)) == said, "byte by byte"


def test_an_event_has_the_moment_in_which_it_was_complete():
    chunks = [(0.5, b"data: 1\r\n\r\ndata: "), (0.7, b"2\r\n"), (0.9, b"\r\ndata: 3\r\n\r\n")]
    assert sse.events(chunks) == [(0.5, 1), (0.9, 2), (0.9, 3)]
    assert [seconds for seconds, _ in sse.pieces(chunks)] == [0.5, 0.9, 0.9]
    assert sse.pieces([(0.5, b"data: 1\n\nda")]) == [(0.5, b"data: 1\n\n"), (0.5, b"da")]
    assert sse.pieces([]) == []
