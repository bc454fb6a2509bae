"""start(): choose who answers this notebook, say so in one line, and keep a log of every request.

    session = start("01_first_call")

Three modes, one and the same code in the cells:

    replay     recorded answers; no account, no token, no network. The default.
    practice   small real models on this machine (`make practice`); free, answers anything.
    live       the real service; only when you choose it, and only with your own token.

Environment variables: COURSE_MODE (the mode to start in), COURSE_PACE (0: no waiting in replay, 1:
as recorded), COURSE_PRACTICE_URL (where the practice server is), COURSE_RECORD (set by `make
record`: keep what is forwarded).
"""

import os
import re
import sys
import threading

import httpx2

from helpers import browser, tokens, wire
from helpers.log import Entry, Log, bodies
from helpers.replay.cost import say_cost
from helpers.replay.recorder import Recorder
from helpers.replay.recording import Recording, miss
from helpers.replay.storage import FOLDER
from helpers.tokens import PLACEHOLDER, PRACTICE_TOKEN, refuse_secrets
from helpers.wire import environment

MODES = ("replay", "practice", "live")
PRACTICE_URL = "http://127.0.0.1:8750"
PRACTICE_BY = "Practice: small models on this machine answer, free."  # or as the server says

_switching = threading.RLock()  # one at a time starts, stops or sets the mode
_session = globals().get("_session")  # the one that is on, also when this module is reloaded


def start(notebook: str, mode: str | None = None) -> "Session":
    """Answer this notebook's requests, print the banner, and return the session.

    notebook : the notebook's name without `.ipynb`; it names the recording.
    mode : "replay", "practice" or "live"; None takes the environment variable COURSE_MODE, else
        "replay". A token in the environment alone never switches to live.

    Calling it again ends the session before. Raises ValueError for an unknown mode or a name that
    cannot name a file, and RuntimeError for live without a token or practice without a practice
    server; whatever it raises, nothing has changed.

    Answered are all clients that send through httpx2 (huggingface_hub, openai), also behind a
    proxy. The older `httpx`, `requests` or a terminal go to the real service, as ever.
    """
    global _session
    with _switching:
        session = Session(notebook, mode or os.environ.get("COURSE_MODE") or "replay")
        if _session is not None:
            _session._end()
        _session = session
        session.begin()
    session.show()
    return session


class Session:
    """What start() returns. `session.log` is the request log; `session.mode` can be set;
    `session.stop()` undoes it all."""

    def __init__(self, notebook: str, mode: str = "replay"):
        if not re.fullmatch(r"\w[\w-]*", notebook):
            rule = 'letters, digits, "_" and "-" only, without .ipynb'
            raise ValueError(f"{notebook!r} is no name for a notebook: {rule}")
        self.notebook = notebook
        self.log = Log()
        self.recording = Recording(FOLDER / f"{notebook}.json")
        self.pace = environment.pace()
        self.practice_url = (os.environ.get("COURSE_PRACTICE_URL") or PRACTICE_URL).rstrip("/")
        self._recorder = Recorder(self.recording.path) if os.environ.get("COURSE_RECORD") else None
        self._name, self._practice_by = os.urandom(8).hex(), PRACTICE_BY
        self._lock = threading.Lock()
        self._lent = tokens.Lent()
        self._begun, self._mode = False, ""
        self.mode = mode

    # ---- the mode ----

    @property
    def mode(self) -> str:
        return self._mode

    @mode.setter
    def mode(self, mode: str) -> None:
        if mode not in MODES:
            raise ValueError(f"there is no mode {mode!r}; choose one of {', '.join(MODES)}")
        if mode == "practice":
            self._find_practice_server()
        with _switching:
            if mode == "live":
                on = self if self._begun else _session or self
                environment.check_live(on._lent.learners_environ())
            self._mode = mode
            if self._begun:
                self._prepare()

    def begin(self) -> None:
        """Answer from now on. start() does this."""
        if not self._begun:
            self._begun = True
            wire.install(self)
            self._prepare()

    def stop(self) -> None:
        """Send requests straight to the network again, as if start() had never been called.

        One thing stays: huggingface_hub's telemetry is off for the rest of this process. Raises
        RuntimeError inside an outage, which needs somebody to answer.
        """
        if self._begun and wire.current() not in (self, None):
            raise RuntimeError("leave the outage's `with` before you stop the session")
        self._end()

    def _end(self) -> None:
        with _switching:
            if self._begun:
                self._begun = False
                wire.remove(self)
                self._lent.back()

    def _prepare(self) -> None:
        """Set the clients up for the mode; what that means is said in tokens.py."""
        browser.prepare_clients()
        self._lent.prepare(self._mode, environment.unusable(self._lent.learners_environ()))

    def _find_practice_server(self) -> None:
        if browser.NO_PRACTICE:
            raise RuntimeError(browser.NO_PRACTICE)
        try:
            with httpx2.Client(trust_env=False, timeout=2) as client:
                health = client.get(self.practice_url + "/health").raise_for_status().json()
                self._practice_by = str(health.get("who", PRACTICE_BY))
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, AttributeError) as error:
            none = f"none answers at {self.practice_url}"
            cure = "Start it with `make practice` in a terminal in the course's folder."
            raise RuntimeError(f"Practice needs the practice server, and {none}. {cure}") from error

    def without_token(self):
        """`with session.without_token():` clients find none in here. Not for several threads."""
        return tokens.none()

    # ---- a request (called by helpers.wire) ----

    def __call__(self, request: httpx2.Request) -> wire.Plan | wire.Forward:
        return self.answer(request, self.row(request))

    def row(self, request: httpx2.Request) -> Entry:
        """A new row of the log, for a request that is about to be answered."""
        method, url, content = request.method, str(request.url), request.content
        clean = self._mode == "replay" and self.recording.holds(method, url, content)
        with self._lock:
            entry = Entry(len(self.log) + 1, method, url, content, self._mode, clean=clean)
            self.log.entries.append(entry)
        return entry

    def answer(self, request: httpx2.Request, entry: Entry) -> wire.Plan | wire.Forward:
        """What comes back for a request, noted in its row of the log."""
        if entry.mode == "replay":
            return self._replay(entry, request.content)
        if self._recorder:
            text = request.content.decode("utf-8", "replace")
            refuse_secrets(f"The request to {entry.host}", str(request.url), text)
        return wire.Forward(
            self._address(request, entry.mode),
            lambda plan: self._done(entry, request, plan),
            entry.take,
            drain=self._recorder is not None,
            direct=entry.mode == "practice",
        )

    def _replay(self, entry: Entry, content: bytes) -> wire.Plan:
        found = self.recording.answer(entry.method, entry.url, content)
        if found is None:
            entry.note = "not recorded"
            return entry.play(miss(self.recording, entry.method, entry.url, entry.content))
        plan, by = found
        entry.answered_by = by.get("model", "")
        return entry.play(plan, self.pace)

    def _address(self, request: httpx2.Request, mode: str) -> httpx2.Request:
        """The request as it is sent on: to the service itself, or to the practice server under the
        service's name."""
        headers, url = request.headers.copy(), request.url
        sent = headers.get("authorization", "")
        if mode == "practice":
            practice = httpx2.URL(self.practice_url)
            headers["host"] = url.host
            headers["x-course-session"] = self._name  # a class's server counts answers by it
            url = url.copy_with(scheme=practice.scheme, host=practice.host, port=practice.port)
            if sent.removeprefix("Bearer ") in (PLACEHOLDER, tokens.learners()):
                headers["authorization"] = f"Bearer {PRACTICE_TOKEN}"
        elif PLACEHOLDER in sent:  # a client that was built before the switch to live
            headers["authorization"] = f"Bearer {tokens.learners()}"
        as_it_is = {"stream": request.stream, "extensions": request.extensions}
        return httpx2.Request(request.method, url, headers=headers, **as_it_is)

    def _done(self, entry: Entry, request: httpx2.Request, plan: wire.Plan) -> None:
        headers = plan.headers
        model = next(iter(bodies(plan.chunks)), {}).get("model")
        by = {
            "model": headers.get("x-answered-by") or model or entry.host,
            "weights": headers.get("x-answered-weights"),
            "runtime": headers.get("x-answered-runtime"),
            "provider": headers.get("x-inference-provider"),
        }
        entry.answered_by = by["model"] if plan.status else ""
        entry.came(plan)
        if self._recorder and plan.status and plan.breaks is None:
            by = {name: value for name, value in by.items() if value}
            asked = request.method, str(request.url), request.content
            self._recorder.add(entry.number, *asked, plan, by)

    # ---- what the learner sees ----

    def banner(self) -> str:
        """One line: mode, who answers, recorded when, and what the calls would cost live."""
        calls = self.recording.calls()
        count = f"{len(calls)} call{'' if len(calls) == 1 else 's'} in this lesson"
        count = count if calls else "No calls recorded for this lesson"
        price = say_cost(self.recording)
        if self._mode == "live":
            return f"Live: your token pays. {count}; {price}."
        if self._mode == "practice":
            return f"{self._practice_by} {count}."
        if not calls:
            return f"Replay: nothing leaves this machine. {count}."
        good = [call["answered_by"] for call in calls if call["status"] == 200]
        who = ", ".join(sorted({by.get("model", "unknown") for by in good})) or "nobody"
        days = sorted({call["answered_by"].get("date", "unknown") for call in calls})
        when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
        answers = f"Answers by {who}, recorded {when}. {count}; live: {price}."
        return f"Replay: nothing leaves this machine. {answers}"

    def show(self) -> None:
        """Print the banner and any damage to the recording; in a notebook, show the switch."""
        print(self.banner())
        for problem in self.recording.problems:
            print("Damaged recording:", problem)
        if "IPython" in sys.modules and sys.modules["IPython"].get_ipython() is not None:
            from helpers.widgets import show_switch

            show_switch(self)
