"""start(): choose who answers this notebook, say so in one line, and keep a log of every request.

    session = start("01_first_call")

Three modes, one and the same code in the cells:

    replay     recorded answers; no account, no token, no network. The default.
    practice   small real models on this machine (`make practice`); free, answers anything.
    live       the real service; only when you choose it, and only with your own token.
"""

import os
import sys
from contextlib import contextmanager

import httpx2

from helpers import wire
from helpers.log import Entry, Log
from helpers.models import models
from helpers.replay import FOLDER, Recorder, Recording, miss

MODES = ("replay", "practice", "live")
PRACTICE_URL = "http://127.0.0.1:8750"
PLACEHOLDER = "hf_placeholder_of_the_course"    # lets clients be built without an account; never leaves this process

_session = None


def start(notebook: str, mode: str | None = None) -> "Session":
    """Answer this notebook's requests, print the banner, and return the session.

    notebook : the notebook's name without `.ipynb`; it names the recording.
    mode : "replay", "practice" or "live"; None takes the environment variable COURSE_MODE, else "replay".
        A token in the environment alone never switches to live.

    Calling it again ends the session before. Raises ValueError for an unknown mode, and RuntimeError for live without
    a token or practice without a practice server.
    """
    global _session
    if _session is not None:
        _session.stop()
    _switch_telemetry_off()
    _session = Session(notebook, mode or os.environ.get("COURSE_MODE", "replay"))
    _session.show()
    return _session


class Session:
    """What start() returns. `session.log` is the request log; `session.mode` can be set; `session.stop()` undoes it all."""

    def __init__(self, notebook: str, mode: str = "replay"):
        self.notebook = notebook
        self.log = Log()
        self.recording = Recording(FOLDER / f"{notebook}.json")
        self.pace = float(os.environ.get("COURSE_PACE", "1"))
        self.practice_url = os.environ.get("COURSE_PRACTICE_URL", PRACTICE_URL).rstrip("/")
        # `make record` sets COURSE_RECORD: then everything that is forwarded is recorded too.
        self._recorder = Recorder(self.recording.path) if os.environ.get("COURSE_RECORD") else None
        self._lent_token = False
        self._mode = ""
        self.mode = mode
        wire.install(self)

    # ---- the mode ----

    @property
    def mode(self) -> str:
        return self._mode

    @mode.setter
    def mode(self, mode: str) -> None:
        if mode not in MODES:
            raise ValueError(f"there is no mode {mode!r}; choose one of {', '.join(MODES)}")
        if mode == "live":
            self._take_token_back()
            if not _token():
                self._lend_token()
                raise RuntimeError("Live needs your own token and none was found. Make one at huggingface.co/settings/tokens "
                                   'with the permission "Make calls to Inference Providers", then run `hf auth login` in a '
                                   "terminal (on Colab: add the secret HF_TOKEN), restart the kernel and choose Live again.")
        if mode == "practice":
            self._find_practice_server()
        if mode != "live":
            self._lend_token()
        self._mode = mode

    def stop(self) -> None:
        """Send requests straight to the network again, as if start() had never been called."""
        wire.remove(self)
        self._take_token_back()

    @contextmanager
    def without_token(self):
        """Inside `with session.without_token():` the clients find no token, as on a machine where nobody has logged in."""
        from huggingface_hub import constants

        kept = {name: os.environ.pop(name, None) for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")}
        path, constants.HF_TOKEN_PATH = constants.HF_TOKEN_PATH, os.devnull
        try:
            yield
        finally:
            constants.HF_TOKEN_PATH = path
            os.environ.update({name: value for name, value in kept.items() if value is not None})

    def _lend_token(self) -> None:
        """Clients refuse to be built without a token; where there is none, a placeholder stands in for it."""
        if not _token():
            os.environ["HF_TOKEN"], self._lent_token = PLACEHOLDER, True

    def _take_token_back(self) -> None:
        if self._lent_token and os.environ.get("HF_TOKEN") == PLACEHOLDER:
            del os.environ["HF_TOKEN"]
        self._lent_token = False

    def _find_practice_server(self) -> None:
        try:
            httpx2.get(self.practice_url + "/health", timeout=2).raise_for_status()
        except httpx2.HTTPError as error:
            raise RuntimeError(f"Practice needs the practice server, and none answers at {self.practice_url}. "
                               "Start it with `make practice` in a terminal in the course's folder.") from error

    # ---- a request (called by helpers.wire) ----

    def __call__(self, request: httpx2.Request) -> wire.Answer | wire.Forward:
        entry = Entry(len(self.log) + 1, request.method, str(request.url), request.content, self._mode)
        self.log.entries.append(entry)
        if self._mode == "replay":
            return self._replay(entry)
        return wire.Forward(self._address(request), lambda answer: self._done(entry, answer), drain=self._recorder is not None)

    def _replay(self, entry: Entry) -> wire.Answer:
        found = self.recording.answer(entry.method, entry.url, entry.content)
        if found is None:
            entry.answer, entry.seconds, entry.note = miss(self.recording, entry.method, entry.url, entry.content), 0.0, "not recorded"
            return entry.answer
        entry.answer, by = found
        entry.answer.pace = self.pace
        entry.seconds, entry.answered_by = entry.answer.chunks[-1][0] if entry.answer.chunks else 0.0, by.get("model", "")
        return entry.answer

    def _address(self, request: httpx2.Request) -> httpx2.Request:
        """The request as it is sent on: to the service itself, or to the practice server under the service's name."""
        headers = request.headers.copy()
        headers["accept-encoding"] = "identity"
        url = request.url
        if self._mode == "practice":
            headers["host"] = url.host
            practice = httpx2.URL(self.practice_url)
            url = url.copy_with(scheme=practice.scheme, host=practice.host, port=practice.port)
        return httpx2.Request(request.method, url, headers=headers, content=request.content, extensions=request.extensions)

    def _done(self, entry: Entry, answer: wire.Answer) -> None:
        entry.answer, headers = answer, answer.headers
        entry.seconds = answer.chunks[-1][0] if answer.chunks else answer.headers_at
        body = entry.response if isinstance(entry.response, dict) else next((data for _, data in entry.events), {})
        by = {"model": headers.get("x-answered-by") or body.get("model") or entry.host,
              "weights": headers.get("x-answered-weights"), "runtime": headers.get("x-answered-runtime"),
              "provider": headers.get("x-inference-provider")}
        entry.answered_by = by["model"]
        if self._recorder and answer.status:
            by = {name: value for name, value in by.items() if value}
            self._recorder.add(entry.number, entry.method, entry.url, entry.content, answer, by)

    # ---- what the learner sees ----

    def banner(self) -> str:
        """One line: mode, who answers, recorded when, and what the notebook's calls would cost live."""
        calls = self.recording.calls()
        count = f"{len(calls)} calls in this notebook" if calls else "no calls recorded for this notebook yet"
        price = f"about ${rough_cost(self.recording):.4f} of credits"
        if self._mode == "live":
            return f"Live: your token pays. {count}, {price}."
        if self._mode == "practice":
            return f"Practice: small models on this machine answer, free. {count}."
        who = sorted({call["answered_by"]["model"] for call in calls if call["status"] == 200})
        days = sorted({call["answered_by"]["date"] for call in calls})
        when = days[-1] if days else "never"
        return f"Replay: nothing leaves this machine. Answers by {', '.join(who) or 'nobody'}, recorded {when}. {count}; live: {price}."

    def show(self) -> None:
        """Print the banner; in a notebook, also show the Replay | Practice | Live switch and any damage to the recording."""
        print(self.banner())
        for problem in self.recording.problems:
            print("Damaged recording:", problem)
        if "IPython" in sys.modules and sys.modules["IPython"].get_ipython() is not None:
            from helpers.switch import show_switch

            show_switch(self)


def rough_cost(recording: Recording) -> float:
    """US dollars for all calls of a recording at the prices of models.toml; calls without a known price count as 0."""
    total = 0.0
    for record in recording.records:
        model = models.for_id((record["request"].get("json") or {}).get("model", "")) or next(
            (row for row in models if row.id in record["request"]["url"]), None)
        if record["request"]["method"] == "POST" and model and model.price:
            for kept in record["answers"]:
                usage = _usage(kept)
                total += model.cost(usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0), kept["seconds"])
    return total


def _usage(kept: dict) -> dict:
    entry = Entry(0, "POST", "", b"", "replay", wire.Answer(kept["status"], {}, []))
    if isinstance(kept.get("json"), dict):
        return kept["json"].get("usage") or {}
    entry.answer.delivered = [(s, t.encode()) for s, t in kept.get("stream", []) if isinstance(t, str)]
    return entry.usage


def _token() -> str | None:
    """The learner's token as huggingface_hub finds it (environment, `hf auth login`, Colab secret); not the placeholder."""
    from huggingface_hub import get_token

    token = get_token()
    return None if token == PLACEHOLDER else token


def _switch_telemetry_off() -> None:
    """huggingface_hub looks up a list on its first request and keeps it in HF_HOME; the course makes no hidden call."""
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    if "huggingface_hub.constants" in sys.modules:
        sys.modules["huggingface_hub.constants"].HF_HUB_DISABLE_TELEMETRY = True
