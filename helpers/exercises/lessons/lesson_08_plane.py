"""The service's control plane with one endpoint that exists only for a check of exercise 08."""

import copy

from helpers.exercises.kit import answer, error, read_data, read_messages, reply, words
from helpers.exercises.running import Stop
from helpers.models import models

CONTROL = "api.endpoints.huggingface.cloud"
LOOKS = 3000  # how often a function may look at the endpoint
SAY, DATA = read_messages(__file__), read_data(__file__)


class Plane:
    """Routes for a spy. Their time is the time that the function has waited.

    state : what the endpoint is in at first. comes : seconds from a start until it runs, None:
        never. fails : it ends in `failed`.
    chat : what a chat request gets while it runs.
    rows : the hardware, {(vendor, region, type, size): (price, status)}.
    done : what was asked of it, in order: "resume", "pause", "scale-to-zero", "update", "delete",
        "create", "chat", "look".
    """

    def __init__(self, state="paused", comes=60.0, fails=False, chat=None, rows=None):
        self.state, self.comes, self.fails = state, comes, fails
        self.chat, self.rows, self.done = chat or reply(), rows or {}, []
        self.name = "own-" + words(1)
        self.host = f"{self.name}.us-east-1.aws.endpoints.huggingface.cloud"
        self.url = f"https://{self.host}"
        self.service = self.since = None  # the spy; when the start began

    def __call__(self, entry):
        path = entry.path.split("?")[0]
        if path == "/api/whoami-v2":
            return answer({"type": "user", "name": "spied-user", "orgs": []})
        if path.startswith("/v2/provider/"):
            return answer(_hardware(self.rows))
        parts = {CONTROL: self._control, self.host: self._engine}
        if entry.host not in parts:
            return None

        def step(service, entry):
            self.service = service
            return parts[entry.host](entry, path)(service, entry)

        return step

    def now(self) -> str:
        """The state at this moment."""
        if self.since is not None:
            passed = sum(self.service.slept) - self.since
            there = self.comes is not None and passed >= self.comes
            ended = "failed" if self.fails else "running"
            self.state = "pending" if passed < 3 else ended if there else "initializing"
        return self.state

    def start(self) -> None:
        self.since = sum(self.service.slept)

    def stop(self, state: str) -> None:
        self.since, self.state = None, state

    def _control(self, entry, path: str):
        _user, *rest = path.removeprefix("/v2/endpoint/").split("/")
        if not rest and entry.method == "GET":
            return answer({"items": [self._raw()]})
        if not rest:
            self.done.append("create")
            self.start()
            return answer(self._raw())
        if rest[0] != self.name:
            return answer({"error": f"Endpoint not found: {rest[0]}"}, 404)
        by_method = {"PUT": "update", "DELETE": "delete"}
        action = rest[1] if len(rest) > 1 else by_method.get(entry.method, "look")
        self.done.append(action)
        if self.done.count("look") > LOOKS:
            raise Stop(SAY["ask_my_own"]["looks"].format(looks=LOOKS))
        if action == "resume" and self.now() in ("running", "initializing", "pending"):
            said = f"Bad Request: Endpoint is already running (state: {self.state})"
            return answer({"error": said}, 400)
        if action == "resume":
            self.start()
        ends = {"pause": "paused", "scale-to-zero": "scaledToZero", "delete": "deleted"}
        if action in ends:
            self.stop(ends[action])
        return answer({} if action == "delete" else self._raw())

    def _engine(self, entry, path: str):
        """The endpoint's own address; a request that it has to wake up for is held, if asked to."""
        state = self.now()
        if path == "/health":
            return answer({}, 200 if state == "running" else 503)
        if path == "/v1/models":
            return answer({"object": "list", "data": [{"id": self.name, "object": "model"}]})
        posted = entry.method == "POST"
        held = self.service.headers[-1].get("x-scale-up-timeout", "") if posted else ""
        if state == "scaledToZero":
            self.start()
            if held.isdecimal() and self.comes is not None and int(held) >= self.comes:
                self.stop("running")
                state = "running"
        if state == "paused":
            return error(400, "Bad Request: Invalid state")
        if state != "running":
            return error(503, "503 Service Unavailable")
        if path != "/v1/chat/completions":
            return answer({"detail": "Not Found"}, 404)
        self.done.append("chat")
        return self.chat

    def _raw(self) -> dict:
        """The endpoint as the control plane describes it."""
        state = self.now()
        raw = copy.deepcopy(DATA["endpoint"]) | {"name": self.name}
        raw["model"]["repository"] = models.chat
        raw["status"] |= {"state": state, "readyReplica": int(state == "running")}
        if state in ("running", "scaledToZero"):
            raw["status"]["url"] = self.url
        return raw


def _hardware(rows: dict) -> dict:
    vendors: dict = {}
    for (vendor, region, kind, size), (price, status) in rows.items():
        names = {"id": f"{vendor}-{region}-{kind}-{size}", "instanceType": kind}
        names |= {"instanceSize": size, "architecture": kind, "gpuMemoryGb": None}
        compute = DATA["compute"] | names | {"pricePerHour": price, "status": status}
        vendors.setdefault(vendor, {}).setdefault(region, []).append(compute)
    listed = lambda field, inside: [{"name": name, field: each} for name, each in inside.items()]
    regions = {vendor: listed("computes", inside) for vendor, inside in vendors.items()}
    return {"vendors": listed("regions", regions)}
