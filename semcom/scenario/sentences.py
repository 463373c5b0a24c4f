"""What pydantic found, in plain words: what was given, what is allowed, the nearest name."""

from __future__ import annotations

import re
import typing
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from semcom.errors import allowed
from semcom.scenario.yaml_file import Keys, Problem

_EXPECTED = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "decimal": "a number",
    "fraction": "a fraction such as 1/24",
    "string": "text",
    "path": "a path",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "frozen_set": "a list",
    "dict": "a mapping of keys to values",
    "mapping": "a mapping of keys to values",
    "model": "a mapping of keys to values",
    "none": "nothing",
}
_LIMITS = {
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "less_than": "a number below {lt}",
    "less_than_equal": "a number of at most {le}",
    "multiple_of": "a multiple of {multiple_of}",
    "finite_number": "a finite number",
    "too_short": "at least {min_length} entries",
    "too_long": "at most {max_length} entries",
    "string_too_short": "text of at least {min_length} characters",
    "string_too_long": "text of at most {max_length} characters",
    "string_pattern_mismatch": "text that matches {pattern}",
}


def given(value: Any) -> str:
    """How an error quotes what was given.

    >>> given("qpsk"), given(True), given(1e-3), given({"a": 1})
    ("'qpsk'", 'true', '0.001', '{a: 1}')
    """
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"'{value}'" if len(value) <= 60 else f"'{value[:57]}...'"
    if isinstance(value, Mapping):
        text = "{" + ", ".join(f"{key}: {given(item)}" for key, item in value.items()) + "}"
    elif isinstance(value, (list, tuple)):
        text = "[" + ", ".join(given(item) for item in value) + "]"
    else:
        text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def unknown(key: str, names: typing.Iterable[str]) -> str:
    """The sentence for a key that nobody reads."""
    hint = "; a ':' is followed by a space" if re.search(r":\S", key) else ""
    return f"there is no '{key}' here; {allowed(key, names)}{hint}"


def problems(
    error: ValidationError, model: type[BaseModel], data: Any, at: Keys = (), more_keys: tuple[str, ...] = ()
) -> list[Problem]:
    """One problem a place. ``at`` is where ``data`` stands; ``more_keys`` are allowed at its top as well."""
    places: dict[Keys, list[dict[str, Any]]] = {}
    for item in error.errors(include_url=False):
        places.setdefault(_place(item["loc"], data), []).append(item)
    # of a union, the branch that came furthest speaks: "expected a list" is no news where a mapping has a typo
    places = {keys: items for keys, items in places.items() if not (_only_types(items) and _something_below(keys, places))}
    return [Problem((*at, *_owner(keys, items)), _sentence(items, model, keys, more_keys)) for keys, items in places.items()]


def _owner(keys: Keys, items: list[dict[str, Any]]) -> Keys:
    """What is missing stands nowhere: its mapping is named."""
    return keys[:-1] if items[0]["type"] == "missing" else keys


def _only_types(items: list[dict[str, Any]]) -> bool:
    return all(item["type"].endswith("_type") or item["type"] == "literal_error" for item in items)


def _something_below(keys: Keys, places: typing.Iterable[Keys]) -> bool:
    return any(len(other) > len(keys) and other[: len(keys)] == keys for other in places)


def _place(loc: Keys, data: Any) -> Keys:
    """``loc`` without the names of union branches, which are no part of the data."""
    keys: Keys = ()
    for position, key in enumerate(loc):
        if (isinstance(data, Mapping) and key in data) or (isinstance(data, list) and isinstance(key, int) and key < len(data)):
            data = data[key]
        elif not (isinstance(data, Mapping) and position == len(loc) - 1 and isinstance(key, str) and key.isidentifier()):
            continue
        keys += (key,)
    return keys


def _sentence(items: list[dict[str, Any]], model: type[BaseModel], keys: Keys, more_keys: tuple[str, ...]) -> str:
    first = items[0]
    if first["type"] == "missing":
        return f"'{keys[-1]}' is missing{_about(model, keys)}"
    if first["type"] == "extra_forbidden":
        names = set().union(*(set(m.model_fields) for m in _models_at(model, keys[:-1])), more_keys if len(keys) == 1 else ())
        return unknown(str(keys[-1]), names)
    if first["type"] in ("value_error", "assertion_error"):
        reason = str(first["ctx"]["error"])
        said = isinstance(first["input"], Mapping) or given(first["input"]) in reason
        return reason if said else f"{given(first['input'])} was given; {reason}"
    return f"{given(first['input'])} was given; {_wanted(items)}"


def _wanted(items: list[dict[str, Any]]) -> str:
    names = [name for item in items if item["type"] in ("literal_error", "enum") for name in _names(item["ctx"]["expected"])]
    kinds = list(dict.fromkeys(_expected(item) for item in items if item["type"] not in ("literal_error", "enum")))
    if not kinds:
        return allowed(items[0]["input"], names)
    return "expected " + " or ".join(kinds) + (f", or one of {', '.join(names)}" if names else "")


def _expected(item: dict[str, Any]) -> str:
    kind = item["type"]
    if kind in _LIMITS:
        return _LIMITS[kind].format(**item.get("ctx", {}))
    stem = re.sub(r"_(type|parsing|from_float|parsing_size|attributes_type|unexpected_none|required)$", "", kind)
    if stem in _EXPECTED:
        return _EXPECTED[stem]
    return item["msg"].removeprefix("Input should be ").removeprefix("Value error, ")


def _names(expected: str) -> list[str]:
    """The names in pydantic's "'a', 'b' or 'c'"."""
    return re.findall(r"'([^']*)'", expected) or re.split(r", | or ", expected)


def _about(model: type[BaseModel], keys: Keys) -> str:
    for owner in _models_at(model, keys[:-1]):
        info = owner.model_fields.get(str(keys[-1]))
        if info is not None and info.description:
            return f": {info.description}"
    return ""


def _models_at(model: type[BaseModel], keys: Keys) -> list[type[BaseModel]]:
    """The models that may stand at ``keys`` below ``model``."""
    here = [model]
    for key in keys:
        fields = [owner.model_fields[key] for owner in here if key in owner.model_fields]
        if fields:
            here = [found for info in fields for found in _models_in(info.annotation)]
    return here


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in typing.get_args(annotation) for found in _models_in(part)]
