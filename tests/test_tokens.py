"""Tokens: what is taken for one, whose is used, and that nobody touches the environment for one."""

import asyncio
import os
import ssl
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import certifi
import child
import pytest
from huggingface_hub import AsyncInferenceClient, get_token
from ways import HUB, messages

from helpers import models, tokens
from helpers.session import start
from helpers.tokens import PLACEHOLDER, PRACTICE_TOKEN
from helpers.wire.environment import unusable

BODY = "abcDEF0123456789"  # put together here, so that no file holds what looks like a token
TOKEN = "hf_" + "PlantedTokenOfNobody" + BODY


@pytest.fixture(autouse=True)
def home(empty_home):
    return empty_home


@pytest.fixture
def practising(practice):
    return start("01_first_call", "practice")


def ask(i: int, **settings) -> str:
    return HUB(f"number {i}", models.chat, **settings)


# ---- what one looks like -----------------------------------------------------------------------


@pytest.mark.parametrize("prefix", tokens.PREFIXES)
@pytest.mark.parametrize("around", ['{{"text": "{}"}}', '{{\\"text\\": \\"\\n{}\\"}}', "is {}."])
def test_every_kind_of_token_is_masked_and_refused(prefix, around):
    text = around.format(prefix + BODY)
    assert tokens.mask(text) == around.format("$HF_TOKEN")
    assert tokens.masked(text.encode()) == around.format("$HF_TOKEN").encode()
    with pytest.raises(tokens.SecretFound) as refused:
        tokens.refuse_secrets("The request", "clean", text)
    assert BODY not in str(refused.value)


def test_what_is_none_stays_the_very_same():
    for text in ("task-0123456789abcdef", "hf_short", "a disk-0123456789abcdef0", "plain"):
        assert tokens.mask(text) == text
        content = text.encode()
        assert tokens.masked(content) == content
        tokens.refuse_secrets("The request", text)
    content = b"plain"
    assert tokens.masked(content) is content


# ---- whose is used -----------------------------------------------------------------------------


def test_the_learners_own_is_found_behind_the_placeholder(home, monkeypatch):
    assert tokens.learners() is None
    monkeypatch.setenv("HF_TOKEN", PLACEHOLDER)
    assert tokens.learners() is None
    (home / "token").write_text(TOKEN + "\n")
    assert tokens.learners() == TOKEN
    monkeypatch.setenv("HUGGING_FACE_HUB_TOKEN", "hf_of_the_old_variable")
    assert tokens.learners() == "hf_of_the_old_variable"
    monkeypatch.setenv("HF_TOKEN", " hf_of_the_variable\n")
    assert tokens.learners() == "hf_of_the_variable"
    assert os.environ["HF_TOKEN"] == " hf_of_the_variable\n", "looking changes nothing"


@pytest.mark.parametrize("kind", ["a folder", "bytes"])
def test_a_token_file_that_cannot_be_read_stops_live_alone(practising, home, kind):
    if kind == "bytes":
        (home / "token").write_bytes(b"\xff")
    else:
        (home / "token").mkdir()
    assert ask(0) == "You said: number 0"
    with pytest.raises(RuntimeError, match=rf"the file {home}/token cannot be read \("):
        practising.mode = "live"
    assert practising.mode == "practice" and ask(1) == "You said: number 1"


def test_a_login_in_mid_session_is_noticed(practising, home, monkeypatch):
    ask(0)
    (home / "token").write_text(TOKEN)
    seen = []
    forward = practising._address
    monkeypatch.setattr(
        practising, "_address", lambda *asked: seen.append(forward(*asked)) or seen[-1]
    )
    ask(1, token=TOKEN)
    assert [one.headers["authorization"] for one in seen] == [f"Bearer {PRACTICE_TOKEN}"]
    practising.mode = "live"
    assert os.environ["HF_TOKEN"] == TOKEN


# ---- nobody touches it while a request is under way --------------------------------------------


@pytest.fixture
def restless():
    """Threads take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


def test_eight_threads_in_practice_all_find_a_token(practising, restless):
    """It was taken out of the environment for a moment at every request: half of these failed."""
    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(ask, range(200)))
    assert said == [f"You said: number {i}" for i in range(200)]


def test_tasks_in_practice_all_find_a_token(practising):
    async def main():
        ask = AsyncInferenceClient().chat_completion
        asked = [ask(messages(f"number {i}"), model=models.chat) for i in range(60)]
        return await asyncio.gather(*asked)

    said = [answer.choices[0].message.content for answer in asyncio.run(main())]
    assert said == [f"You said: number {i}" for i in range(60)]


def test_threads_find_a_token_while_the_mode_changes(practising, restless, monkeypatch):
    """What each change writes is written in one step; a client never finds nothing."""
    monkeypatch.setattr(practising, "_find_practice_server", lambda: None)  # quickly
    monkeypatch.setattr("helpers.wire.environment.unusable", lambda environ: ())
    found, over = set(), False

    def look():
        while not over:
            found.add(os.environ.get("HF_TOKEN"))
            time.sleep(0)  # let others work; a thread that only looks holds them up

    def switch():
        for _ in range(200):
            practising.mode = "replay"
            practising.mode = "practice"

    with ThreadPoolExecutor(4) as pool:
        looks = [pool.submit(look) for _ in range(2)]
        switches = [pool.submit(switch) for _ in range(2)]  # which take turns
        while not all(switched.done() for switched in switches):
            time.sleep(0.01)
        over = True
        [switched.result() for switched in switches]
        [looked.result() for looked in looks]
    assert found == {PLACEHOLDER}
    practising.stop()
    assert "HF_TOKEN" not in os.environ


# ---- the environment cannot keep Replay from answering -----------------------------------------

BREAKING = [
    ("ALL_PROXY", "socks5://127.0.0.1:9"),
    ("all_proxy", "socks://127.0.0.1:9"),
    ("HTTPS_PROXY", "ftp://127.0.0.1:9"),
    ("HTTPS_PROXY", "http://proxy.example:port"),
    ("SSL_CERT_FILE", "/does/not/exist.pem"),
    ("SSL_CERT_FILE", os.devnull),
    ("SSL_CERT_DIR", "/does/not/exist"),
    ("SSLKEYLOGFILE", "/does/not/exist/keys"),
    ("SSLKEYLOGFILE", "/proc/1/keys"),
    ("HF_TOKEN", "  "),
    ("HF_TOKEN", "hf_é"),
    ("HF_TOKEN", '"hf_in_quotes"'),
    ("HF_TOKEN", "of another kind"),
    ("HF_ENDPOINT", "https://mirror.example"),
    ("HF_INFERENCE_ENDPOINT", "https://mirror.example"),
    ("HUGGINGFACE_CO_STAGING", "1"),
    ("HF_OIDC_RESOURCE", "https://mirror.example"),
    ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1"),
]
PROBE = """
import os
from helpers import models, start
from huggingface_hub import InferenceClient, constants, get_token
before = dict(os.environ), constants.ENDPOINT
session = start("01_first_call")
M = [{"role": "user", "content": "What is an API? Answer in two sentences."}]
print(InferenceClient().chat_completion(M, model=models.chat, max_tokens=100).model)
print(bool(models.still_served("chat")))
from openai import OpenAI  # aiohttp, which it takes where it is, reads SSLKEYLOGFILE when imported
client = OpenAI(base_url="https://router.huggingface.co/v1", api_key=get_token())
body = {"model": models.chat, "messages": M, "max_tokens": 100, "stream": False}
print(client.chat.completions.create(**body).model)
print(sorted({entry.host for entry in session.log}))
session.stop()
unsaid = {"HF_HUB_DISABLE_TELEMETRY": None}
print((before[0] | unsaid, before[1]) == (dict(os.environ) | unsaid, constants.ENDPOINT))
"""


@pytest.mark.parametrize("name, value", [*BREAKING, ("HF_TOKEN", "hf_with_a_line_break\n")])
def test_replay_answers_whatever_the_environment_says(name, value, home):
    done = child.python("-c", PROBE, **{"HF_HOME": str(home), "COURSE_MODE": "replay", name: value})
    banner, *said = done.stdout.splitlines()
    assert banner.startswith("Replay"), done.stderr[-2000:]
    assert len(said) == 5, done.stderr[-2000:]
    assert said[1] == "True" and said[3] == "['huggingface.co', 'router.huggingface.co']"
    assert said[4] == "True", "stop() puts back what was set aside"


EARLY = """
from huggingface_hub import HfApi
api = HfApi(token="hf_of_nobody")
from helpers import models, start
session = start("01_first_call")
try:
    api.model_info(models.chat)
except Exception as error:
    print("replay" in str(error).lower())
print([(entry.host, entry.note) for entry in session.log])
"""


def test_a_client_from_before_start_does_not_send_a_token_to_a_mirror(home):
    environment = {"HF_HOME": str(home), "COURSE_MODE": "replay"}
    done = child.python("-c", EARLY, HF_ENDPOINT="https://mirror.example", **environment)
    said = done.stdout.splitlines()[1:]
    assert said == ["True", "[('mirror.example', 'not recorded')]"], done.stderr[-2000:]


NO_FILE = "/does/not/exist.pem"
UNUSABLE = [
    ("ALL_PROXY", "socks5://127.0.0.1:9", ".* socks5://, which needs `pip install 'httpx2"),
    ("https_proxy", "ftp://127.0.0.1:9", " names a proxy of the kind ftp://"),
    ("HTTP_PROXY", "http://name:secret@[::1", " names a proxy at an address that"),
    ("SSL_CERT_FILE", NO_FILE, f" names {NO_FILE}, which is not"),
    ("SSL_CERT_FILE", __file__, " names .*, which holds no certificate"),
    ("SSLKEYLOGFILE", os.path.dirname(__file__), " names .*, which cannot be written"),
    ("HF_TOKEN", f"'{TOKEN}'", " holds characters that no token has"),
]


@pytest.mark.parametrize(("name", "value", "said"), UNUSABLE)
@pytest.mark.parametrize("how", ["first", "again", "switch"])
def test_live_says_what_is_wrong_with_it(name, value, said, how, monkeypatch):
    """Also while Replay has set it aside."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv(name, value)
    session = None if how == "first" else start("01_first_call")
    with pytest.raises(RuntimeError, match=name + said) as refused:
        if how == "switch":
            session.mode = "live"
        else:
            start("01_first_call", "live")
    assert "secret" not in str(refused.value) and TOKEN not in str(refused.value)
    if session is not None:
        assert session.mode == "replay"
        session.stop()
    assert os.environ[name] == value


def test_what_can_be_used_is_let_be(home, monkeypatch):
    assert unusable({}) == {}
    certificates = ssl.get_default_verify_paths().cafile or certifi.where()
    fine = {
        "HTTPS_PROXY": "proxy.example:8080",
        "http_proxy": "http://name:word@proxy.example:8080",
        "SSL_CERT_FILE": certificates,
        "SSL_CERT_DIR": "/",
        "SSLKEYLOGFILE": str(home / "keys"),
        "HF_TOKEN": TOKEN + "\n",
    }
    assert unusable(fine) == {}
    assert unusable(dict.fromkeys(fine, "")) == {"HF_TOKEN": tokens.BLANK}
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name == "socksio")
    assert unusable({"ALL_PROXY": "socks5h://127.0.0.1:9"}) == {}
    assert unusable({"ALL_PROXY": "socks://127.0.0.1:9"}) != {}, "of which httpx2 knows nothing"


def test_a_blank_token_is_none_and_a_login_is_found_behind_it(home, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", " ")
    (home / "token").write_text(TOKEN)
    session = start("01_first_call", "live")
    assert os.environ["HF_TOKEN"] == TOKEN
    session.stop()
    assert os.environ["HF_TOKEN"] == " "


def test_a_token_of_another_kind_is_lent_none_of_ours_and_still_masked(monkeypatch):
    """Clients take it for a provider's, and then need to be told which."""
    monkeypatch.setenv("HF_TOKEN", "of-another-kind")
    session = start("01_first_call")
    assert get_token() == PLACEHOLDER
    assert tokens.learners() == "of-another-kind"
    assert tokens.mask("say of-another-kind") == "say $HF_TOKEN"
    assert tokens.masked(b"say of-another-kind") == b"say $HF_TOKEN"
    session.mode = "live"
    assert get_token() == "of-another-kind"
