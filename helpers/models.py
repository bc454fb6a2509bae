"""The registry of models: which id the lessons use for which task, and when that was last seen to
be true.

Model ids, prices and limits change several times a month, so no lesson writes one down.
`models.chat` is the id (a plain string, ready for `model=`); `models["chat"]` is the whole row with
its date and source.
"""

import contextlib
import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, fields
from datetime import date
from pathlib import Path

FILE = Path(__file__).with_name("models.toml")

_instead: ContextVar[tuple] = ContextVar("instead", default=(None, {}))


class Price(Mapping):
    """What a model costs: numbers with their `unit`, `date` and `source`; empty where none is
    known."""

    def __init__(self, row: Iterable = ()):
        self._row = dict(row)

    def __getitem__(self, name: str):
        whose, numbers = _instead.get()
        return numbers[name] if whose is self and name in numbers else self._row[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._row)

    def __len__(self) -> int:
        return len(self._row)

    def __repr__(self) -> str:
        return repr(dict(self))

    def _repr_pretty_(self, printer, _cycle: bool) -> None:  # how a notebook shows it
        printer.pretty(dict(self))

    @contextlib.contextmanager
    def instead(self, **numbers: float) -> Iterator["Price"]:
        """Other numbers, for the code in this block, its threads and its tasks alone."""
        before = _instead.set((self, numbers))
        try:
            yield self
        finally:
            _instead.reset(before)


@dataclass(frozen=True)
class Model:
    """One row of models.toml.

    `verified` is the day on which `against` (a documentation page, a live run) showed the model at
    work.
    """

    name: str
    id: str
    task: str
    provider: str
    verified: date
    against: str
    price: Price = field(default_factory=Price)

    def cost(
        self,
        prompt_tokens: int = 0,
        completion_tokens: int = 0,
        seconds: float = 0.0,
        megapixels: float = 0.0,
    ) -> float:
        """US dollars for one call, from this row's price: tokens for chat, seconds of compute for
        hf-inference, megapixels for a picture, where a megapixel that was begun counts as a whole
        one.

        Raises ValueError where the registry knows no price for the model.
        """
        if not self.price:
            raise ValueError(
                f"models.toml knows no price for {self.id}; add a [{self.name}.price] table with"
                " its date"
            )
        price = self.price
        tokens = prompt_tokens * price.get("input", 0) + completion_tokens * price.get("output", 0)
        compute = seconds * price.get("second", 0)
        return tokens / 1e6 + compute + math.ceil(megapixels) * price.get("megapixel", 0)


class Registry:
    """`models.chat` gives an id, `models["chat"]` the whole row, `list(models)` all rows."""

    def __init__(self, file: Path = FILE):
        try:
            rows = tomllib.loads(file.read_text(encoding="utf-8"))
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"{file.name} cannot be read: {error}") from error
        self._rows = {name: _row(name, row, file) for name, row in rows.items()}

    def __getitem__(self, name: str) -> Model:
        if name not in self._rows:
            raise KeyError(f"models.toml has no [{name}]; it has: {', '.join(self._rows)}")
        return self._rows[name]

    def __getattr__(self, name: str) -> str:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name].id
        except KeyError as error:
            raise AttributeError(error.args[0]) from None

    def __iter__(self):
        return iter(self._rows.values())

    def __dir__(self):
        return [*super().__dir__(), *self._rows]

    def for_id(self, model_id: str) -> Model | None:
        """The row of a model id, with or without a `:provider` suffix; None if the course does not
        know it."""
        plain = model_id.split(":")[0]
        return next((row for row in self if row.id == plain), None)

    def still_served(self, name: str) -> dict[str, str]:
        """Ask the Hub which providers serve the model now: {provider: status}, empty when nobody
        does.

        One GET of `/api/models/{id}?expand=inferenceProviderMapping`; costs nothing.
        """
        from huggingface_hub import model_info

        found = model_info(self[name].id, expand="inferenceProviderMapping")
        return {entry.provider: entry.status for entry in found.inference_provider_mapping or []}


def _row(name: str, row: dict, file: Path) -> Model:
    """One table of the file as a Model; ValueError for one that lacks something or has something
    unknown."""
    if not isinstance(row, dict):
        raise ValueError(f"{file.name}: {name} is not a table; write [{name}]")
    table, known = f"{file.name}: [{name}]", [one.name for one in fields(Model)[1:]]
    if missing := [field for field in known if field != "price" and field not in row]:
        raise ValueError(f"{table} lacks {', '.join(missing)}")
    if unknown := ", ".join(field for field in row if field not in known):
        may = f"it may have {', '.join(known)}"
        raise ValueError(f"{table} has {unknown}, which no model has; {may}")
    if not isinstance(day := row["verified"], date):
        right = "write a date without quotes, 2026-01-31"
        raise ValueError(f"{table} has verified = {day!r}; {right}")
    return Model(name=name, **{**row, "price": Price(row.get("price", {}))})


models = Registry()
