"""The request log: what a row says, and what it never holds."""

import copy
import json
import pickle
import re
import shlex
from html.parser import HTMLParser

import pytest
import standin
from standin import stream, whole
from ways import CHAT as URL
from ways import messages

from helpers import sse
from helpers.log import COLUMNS, Entry, Log
from helpers.tokens import mask
from helpers.wire import Plan

TOKEN = "hf_" + "PlantedTokenOfNobody" + "0123456789abcd"
ASKED = {"model": "m", "messages": messages("Wie heißt du? It's <b>me</b>")}


def entry(content=None, answer=None, url=URL, number=1, method="POST", **more) -> Entry:
    content = json.dumps(ASKED).encode() if content is None else content
    more = {"mode": "replay", "plan": answer, "chunks": answer.chunks if answer else []} | more
    return Entry(number=number, method=method, url=url, content=content, **more)


def get(url):
    return entry(b"", url=url, method="GET")


def test_a_row_of_a_chat_call():
    row = entry(answer=whole(standin.chat("yes")), seconds=0.5, answered_by="small model")
    assert (row.host, row.path) == ("router.huggingface.co", "/v1/chat/completions")
    assert (row.status, row.tokens) == (200, 14)
    assert row.json == ASKED and row.response["choices"][0]["message"]["content"] == "yes"
    assert row.usage == {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
    assert row.headers == {"content-type": "application/json"} and row.events == []


@pytest.mark.parametrize("size", [1, 7, 50, 10_000])
def test_a_stream_cut_anywhere_gives_the_same_events(size):
    content = b"".join(standin.events())
    pieces = [content[i : i + size] for i in range(0, len(content), size)]
    row = entry(answer=stream(pieces))
    words = [data["choices"][0]["delta"]["content"] for _, data in row.events if data["choices"]]
    assert words == standin.WORDS and row.tokens == 14 and row.response is None
    moments = [moment for moment, _ in row.events]
    assert moments == sorted(moments)


def test_the_other_ways_to_write_a_stream():
    lines = b': a comment\r\nevent: x\r\ndata:{"a": 1}\r\n\r\ndata: not json\n\n'
    lines += b'data: {"a": 2}\n\ndata: {"a": 3'
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
    empty = entry()
    assert (empty.headers, empty.chunks, empty.usage, empty.tokens) == ({}, [], {}, None)
    broken = entry(answer=Plan(0, {}, []))
    assert broken.row()[COLUMNS.index("status")] == "broken" and broken.status == 0
    assert entry(answer=whole(b"", 204)).response is None


def test_a_picture():
    pieces = [standin.PICTURE[:50], standin.PICTURE[50:]]
    row = entry(answer=stream(pieces, kind="image/png"))
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
    told = entry(seconds=0.514, answered_by="who", note="not recorded")
    log = Log([told, entry(number=10, method="DELETE")])
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
    told = entry(answer=whole(b"{}"), answered_by="<i>who</i>")
    cells = Cells(Log([told, entry(b"")])._repr_html_())
    assert cells.tags.count("td") == 2 * (len(COLUMNS) + 1)
    assert cells.tags.count("th") == len(COLUMNS) + 1
    assert "model, messages" in cells.text
    assert cells.tags.count("details") == 1 and "b" not in cells.tags and "i" not in cells.tags
    assert any("<b>me</b>" in text for text in cells.text) and "<i>who</i>" in cells.text


def test_tables_are_the_same_on_every_run():
    make = lambda: Log([entry(answer=whole(b"{}"), seconds=0.5)])
    assert make()._repr_html_() == make()._repr_html_() and repr(make()) == repr(make())
    assert not re.search(r"\d\d:\d\d", repr(make()))


def test_curl_is_what_was_sent():
    words = shlex.split(entry().as_curl().replace("\\\n", ""))
    assert words[:4] == ["curl", "-X", "POST", URL]
    assert words[words.index("-H") + 1] == "Authorization: Bearer $HF_TOKEN"
    assert json.loads(words[words.index("-d") + 1]) == ASKED
    assert "-d" not in get(URL).as_curl()


def test_curl_hands_the_token_to_nobody_else():
    assert "Authorization" not in get("https://v3.fal.media/files/x.png").as_curl()
    own = get("https://x.aws.endpoints.huggingface.cloud/health")
    assert "Authorization" in own.as_curl()


def test_a_planted_token_is_nowhere_in_the_log():
    content = json.dumps({"inputs": f"my token:\n{TOKEN}"}).encode()
    row = entry(content, url=f"{URL}?token={TOKEN}", answered_by="m")
    log = Log([row])
    everything = [repr(row), str(row), row.as_curl(), row.url, row.path, repr(log)]
    everything += [log._repr_html_(), str(row.json), str(row.row()), str(vars(row))]
    everything += [pickle.dumps(row).decode("latin1"), repr(copy.deepcopy(log).entries)]
    assert [text for text in everything if TOKEN in text or TOKEN[8:] in text] == []
    assert "$HF_TOKEN" in row.as_curl() and row.json == {"inputs": "my token:\n$HF_TOKEN"}


OTHERS = "api_org_" + "a" * 34, "gsk_" + "a" * 20, "sk-proj-" + "a" * 20


@pytest.mark.parametrize("text", [TOKEN, f"x{TOKEN}", f"\\n{TOKEN}", *OTHERS])
def test_mask(text):
    assert "$HF_TOKEN" in mask(text) and TOKEN not in mask(text)


LOOKS_LIKE_IT = ["hf_hub_download", "risk-averse-investors-everywhere", "task_definition_language"]


@pytest.mark.parametrize("text", [*LOOKS_LIKE_IT, "hf_short", "", "plain"])
def test_mask_leaves_the_rest(text):
    assert mask(text) == text


def test_mask_knows_this_process_own_token(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "an-organisations-own-form")
    assert mask("x an-organisations-own-form y") == "x $HF_TOKEN y"
    assert entry(b'{"a": "an-organisations-own-form"}').json == {"a": "$HF_TOKEN"}
    monkeypatch.setenv("HF_TOKEN", "a")
    assert mask("banana") == "banana"
