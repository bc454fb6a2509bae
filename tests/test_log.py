"""The request log: what a row says, and what it never holds."""

import copy
import json
import pickle
import re
from html.parser import HTMLParser

import pytest
import standin

from helpers import sse
from helpers.log import COLUMNS, Entry, Log
from helpers.tokens import mask
from helpers.wire import Plan

URL = "https://router.huggingface.co/v1/chat/completions"
TOKEN = "hf_" + "PlantedTokenOfNobody" + "0123456789abcd"
ASKED = {"model": "m", "messages": [{"role": "user", "content": "Wie heißt du? It's <b>me</b>"}]}


def entry(content=None, answer=None, url=URL, **more) -> Entry:
    body = json.dumps(ASKED).encode() if content is None else content
    return Entry(
        **(
            {
                "number": 1,
                "method": "POST",
                "url": url,
                "content": body,
                "mode": "replay",
                "plan": answer,
                "chunks": answer.chunks if answer else [],
            }
            | more
        )
    )


def answered(pieces, status=200, kind="application/json") -> Plan:
    chunks = [(0.5 + n / 10, piece) for n, piece in enumerate(pieces)]
    return Plan(status, {"content-type": kind}, chunks, 0.4)


def test_a_row_of_a_chat_call():
    row = entry(
        answer=answered([json.dumps(standin.chat("yes")).encode()]),
        seconds=0.5,
        answered_by="small model",
    )
    assert (row.host, row.path, row.status, row.tokens) == (
        "router.huggingface.co",
        "/v1/chat/completions",
        200,
        14,
    )
    assert row.json == ASKED and row.response["choices"][0]["message"]["content"] == "yes"
    assert row.usage == {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
    assert row.headers == {"content-type": "application/json"} and row.events == []


@pytest.mark.parametrize("size", [1, 7, 50, 10_000])
def test_a_stream_cut_anywhere_gives_the_same_events(size):
    stream = b"".join(standin.events())
    row = entry(
        answer=answered(
            [stream[i : i + size] for i in range(0, len(stream), size)], kind="text/event-stream"
        )
    )
    words = [data["choices"][0]["delta"]["content"] for _, data in row.events if data["choices"]]
    assert words == standin.WORDS and row.tokens == 14 and row.response is None
    moments = [moment for moment, _ in row.events]
    assert moments == sorted(moments)


def test_the_other_ways_to_write_a_stream():
    lines = (
        b': a comment\r\nevent: x\r\ndata:{"a": 1}\r\n\r\ndata: not json\n\ndata: {"a": 2}\n\ndata:'
        b' {"a": 3'
    )
    assert [data for _, data in sse.events([(0.1, lines)])] == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(
    "content, body",
    [(b"", None), (b"{broken", None), (b"raw", None), (b" [1]", [1]), (b"\xff\xfe", None)],
)
def test_bodies_that_are_no_json(content, body):
    row = entry(content)
    assert (row.json == body and "-d" not in row.as_curl()) or body
    assert row.row()


def test_under_way_broken_and_empty():
    assert entry().row()[COLUMNS.index("status")] == "…" and entry().status is None
    assert (
        entry().headers == {}
        and entry().chunks == []
        and entry().usage == {}
        and entry().tokens is None
    )
    broken = entry(answer=Plan(0, {}, []))
    assert broken.row()[COLUMNS.index("status")] == "broken" and broken.status == 0
    assert entry(answer=answered([b""], 204)).response is None


def test_a_picture():
    row = entry(answer=answered([standin.PICTURE[:50], standin.PICTURE[50:]], kind="image/png"))
    assert row.body == standin.PICTURE and row.response is None and row.tokens is None


def test_the_log_is_a_list_with_a_last():
    log = Log()
    with pytest.raises(IndexError, match="no request has been sent"):
        _ = log.last
    log.entries += [entry(number=1, method="GET"), entry(number=2), entry(number=3)]
    assert log.last.number == 3 and len(log) == 3 and log[0].number == 1
    assert [row.number for row in log[1:]] == [2, 3] == [row.number for row in log.calls()]
    assert isinstance(log[1:], Log)


def test_the_text_table_lines_up():
    log = Log(
        [
            entry(seconds=0.514, answered_by="who", note="not recorded"),
            entry(number=10, method="DELETE"),
        ]
    )
    lines = repr(log).splitlines()
    assert len(lines) == 3 and lines[0].split()[:2] == ["#", "method"]
    assert lines[1].index("POST") == lines[2].index("DELETE") == lines[0].index("method")
    assert "0.51" in lines[1] and lines[1].endswith("who (not recorded)")
    assert repr(Log()).split() == " ".join(COLUMNS).split()


class Cells(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text.append(data)


def test_the_html_table_escapes_and_folds_bodies_away():
    cells = Cells(
        Log([entry(answer=answered([b"{}"]), answered_by="<i>who</i>"), entry(b"")])._repr_html_()
    )
    assert (
        cells.tags.count("td") == 2 * (len(COLUMNS) + 1)
        and cells.tags.count("th") == len(COLUMNS) + 1
    )
    assert "model, messages" in cells.text
    assert cells.tags.count("details") == 1 and "b" not in cells.tags and "i" not in cells.tags
    assert any("<b>me</b>" in text for text in cells.text) and "<i>who</i>" in cells.text


def test_tables_are_the_same_on_every_run():
    make = lambda: Log([entry(answer=answered([b"{}"]), seconds=0.5)])
    assert make()._repr_html_() == make()._repr_html_() and repr(make()) == repr(make())
    assert not re.search(r"\d\d:\d\d", repr(make()))


def test_curl_is_what_was_sent(tmp_path):
    import shlex

    words = shlex.split(entry().as_curl().replace("\\\n", ""))
    assert words[:4] == ["curl", "-X", "POST", URL]
    assert words[words.index("-H") + 1] == "Authorization: Bearer $HF_TOKEN"
    assert json.loads(words[words.index("-d") + 1]) == ASKED
    assert "-d" not in entry(b"", method="GET").as_curl()


def test_curl_hands_the_token_to_nobody_else():
    assert (
        "Authorization"
        not in entry(b"", url="https://v3.fal.media/files/x.png", method="GET").as_curl()
    )
    assert (
        "Authorization"
        in entry(
            b"", url="https://x.aws.endpoints.huggingface.cloud/health", method="GET"
        ).as_curl()
    )


def test_a_planted_token_is_nowhere_in_the_log():
    row = entry(
        json.dumps({"inputs": f"my token:\n{TOKEN}"}).encode(),
        url=f"{URL}?token={TOKEN}",
        answered_by="m",
    )
    log = Log([row])
    everything = [
        repr(row),
        str(row),
        repr(log),
        log._repr_html_(),
        row.as_curl(),
        row.url,
        row.path,
        str(row.json),
        str(row.row()),
        str(vars(row)),
        pickle.dumps(row).decode("latin1"),
        repr(copy.deepcopy(log).entries),
    ]
    assert [text for text in everything if TOKEN in text or TOKEN[8:] in text] == []
    assert "$HF_TOKEN" in row.as_curl() and row.json == {"inputs": "my token:\n$HF_TOKEN"}


@pytest.mark.parametrize(
    "text",
    [
        TOKEN,
        f"x{TOKEN}",
        f"\\n{TOKEN}",
        "api_org_" + "a" * 34,
        "gsk_" + "a" * 20,
        "sk-proj-" + "a" * 20,
    ],
)
def test_mask(text):
    assert "$HF_TOKEN" in mask(text) and TOKEN not in mask(text)


@pytest.mark.parametrize(
    "text",
    [
        "hf_hub_download",
        "hf_short",
        "risk-averse-investors-everywhere",
        "task_definition_language",
        "",
        "plain",
    ],
)
def test_mask_leaves_the_rest(text):
    assert mask(text) == text


def test_mask_knows_this_process_own_token(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "an-organisations-own-form")
    assert mask("x an-organisations-own-form y") == "x $HF_TOKEN y"
    assert entry(b'{"a": "an-organisations-own-form"}').json == {"a": "$HF_TOKEN"}
    monkeypatch.setenv("HF_TOKEN", "a")
    assert mask("banana") == "banana"
