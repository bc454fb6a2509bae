"""Checks on the fields of a request: right type, right range, and an error that names the field.

`null` counts as absent everywhere, as with the service.
"""

import math

from .errors import ServiceError, chat_error
from .incoming import json_type


def wrong(field: str, why: str) -> ServiceError:
    return chat_error(422, f"`{field}` {why}", field, "invalid_value")


def number(
    body: dict, field: str, low: float, high: float, *, above: bool = False, error=wrong
) -> float | None:
    """A number in low..high (`above`: low itself is not allowed), or None where the field is
    absent."""
    value = body.get(field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise error(field, f"must be a number, not {json_type(value)}")
    if not math.isfinite(value) or not low <= value <= high or (above and value == low):
        raise error(
            field,
            f"must be {'greater than' if above else 'at least'} {low:g} and at most {high:g}, got"
            f" {value}",
        )
    return value


def integer(body: dict, field: str, low: int, high: int = 2**31 - 1, *, error=wrong) -> int | None:
    """A whole number in low..high, or None where the field is absent."""
    value = body.get(field)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise error(
            field,
            "must be an integer, not"
            f" {'a fraction' if isinstance(value, float) else json_type(value)}",
        )
    if value < low:
        raise error(field, f"must be at least {low}, got {value}")
    if value > high:
        raise error(field, f"must be at most {high}, got {value}")
    return value


def boolean(body: dict, field: str, default: bool = False, *, error=wrong) -> bool:
    value = body.get(field)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise error(field, f"must be true or false, not {json_type(value)}")
    return value


def text(body: dict, field: str, default: str | None = None, *, error=wrong) -> str:
    """A string; without a default it is required."""
    value = body.get(field)
    if value is None:
        if default is None:
            raise error(field, "is missing; it must be a string")
        return default
    if not isinstance(value, str):
        raise error(field, f"must be a string, not {json_type(value)}")
    return value


def obj(body: dict, field: str, *, error=wrong) -> dict:
    value = body.get(field)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise error(field, f"must be an object, not {json_type(value)}")
    return value


def stops(body: dict, field: str = "stop", *, error=wrong) -> list[str]:
    """Stop sequences: one string or up to four, none of them empty."""
    value = body.get(field)
    if value is None:
        return []
    value = [value] if isinstance(value, str) else value
    if not isinstance(value, list) or not all(isinstance(stop, str) and stop for stop in value):
        raise error(field, "must be a string or an array of strings, none of them empty")
    if len(value) > 4:
        raise error(field, f"may hold at most 4 sequences, got {len(value)}")
    return value


def seed(body: dict, *, error=wrong) -> int | None:
    """A seed as llama.cpp wants it: any whole number, folded into 32 bits (the largest of which
    would mean 'random')."""
    value = integer(body, "seed", -(2**63), 2**64 - 1, error=error)
    return None if value is None else value % (2**32 - 1)
