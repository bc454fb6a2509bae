"""Which models the server knows, what each is for, and which provider serves it under which name.

The rows come from catalogue.toml here and from the course's registry, helpers/models.toml.
"""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

CHAT_TASK = "conversational"
HERE = Path(__file__).parent
COURSE_REGISTRY = HERE.parent.parent / "helpers" / "models.toml"


@dataclass(frozen=True)
class Served:
    """One provider's entry for a model: the id on its side, the task it serves it for, and its
    health."""

    provider: str
    id: str
    task: str
    status: str = "live"


@dataclass(frozen=True)
class Model:
    """One model of the Hub. `task` is its pipeline tag; `chat` is true if it can hold a
    conversation."""

    id: str
    task: str
    chat: bool = False
    context: int = 32768
    tags: tuple[str, ...] = ()
    labels: dict = field(default_factory=dict)
    gated: bool = False
    deprecated: bool = False
    token_level: bool = False
    providers: tuple[Served, ...] = ()

    def on(self, provider: str) -> Served | None:
        return next((served for served in self.providers if served.provider == provider), None)


class Catalogue:
    """All rows; `get(id)` finds a model by its Hub id, `on_provider(provider, id)` by a provider's
    id."""

    def __init__(self, file: Path = HERE / "catalogue.toml", course: Path = COURSE_REGISTRY):
        table = tomllib.loads(file.read_text(encoding="utf-8"))
        self.speeds, self.prices = table["speeds"], table["prices"]
        self.sizes, self.unsaid, self.lacking = table["sizes"], table["unsaid"], table["lacking"]
        self.renamed, self.recommended = table["renamed"], table["recommended"]
        self.models = {name: _model(name, row) for name, row in table["models"].items()}
        if course.exists():
            for row in tomllib.loads(course.read_text(encoding="utf-8")).values():
                self._add_from_course(row)

    def _add_from_course(self, row: dict) -> None:
        """Make sure that a model of the course is known, and served by the provider the course
        names."""
        name, provider = row["id"].split(":")[0], row.get("provider", "auto")
        chat = row["task"] in ("chat-completion", CHAT_TASK)
        task = "text-generation" if chat else row["task"]
        if name not in self.models:
            default = "together" if chat else "hf-inference"
            self.models[name] = _model(
                name,
                {
                    "task": task,
                    "chat": chat,
                    "providers": {default if provider == "auto" else provider: name},
                },
            )
        elif provider != "auto" and not self.models[name].on(provider):
            known = self.models[name]
            self.models[name] = Model(
                **{
                    **known.__dict__,
                    "providers": (
                        *known.providers,
                        Served(provider, name, CHAT_TASK if chat else task),
                    ),
                }
            )

    def get(self, name: str) -> Model | None:
        return self.models.get(self.renamed.get(name, name))

    def on_provider(self, provider: str, name: str) -> Model | None:
        """The model that `provider` calls `name`; the Hub's own id is understood too."""
        for model in self.models.values():
            served = model.on(provider)
            if served and name in (served.id, model.id):
                return model
        return None

    def chat_models(self) -> list[Model]:
        return [
            model
            for model in self.models.values()
            if any(served.task == CHAT_TASK for served in model.providers)
        ]

    def choose(self, model: Model, policy: str) -> Served | None:
        """The provider the router would pick for a chat: by policy (fastest, cheapest, preferred)
        or by name."""
        chat = [
            served
            for served in model.providers
            if served.task == CHAT_TASK and served.status != "staging"
        ]
        live = [served for served in chat if served.status == "live"] or chat
        if not live:
            return None
        if policy in ("fastest", ""):
            return max(live, key=lambda served: self.speeds.get(served.provider, [0])[0])
        if policy == "cheapest":
            return min(live, key=lambda served: self.prices.get(served.provider, [9, 9])[1])
        if policy == "preferred":
            return live[0]
        return next((served for served in chat if served.provider == policy), None)


def _model(name: str, row: dict) -> Model:
    chat = row.get("chat", row["task"] == "text-generation")
    served = []
    for provider, entry in row.get("providers", {}).items():
        entry = {"id": entry} if isinstance(entry, str) else entry
        served.append(
            Served(
                provider,
                entry["id"],
                entry.get("task", CHAT_TASK if chat else row["task"]),
                entry.get("status", "live"),
            )
        )
    return Model(
        id=name,
        task=row["task"],
        chat=chat,
        context=row.get("context", 32768),
        tags=tuple(row.get("tags", ())),
        labels=row.get("labels", {}),
        gated=row.get("gated", False),
        deprecated=row.get("deprecated", False),
        token_level=row.get("token_level", False),
        providers=tuple(served),
    )
