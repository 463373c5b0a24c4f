"""Places in a scenario, as ``--set`` and ``sweep`` name them: ``channel.k_db``, ``systems.softcast.link.csi``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from semcom.errors import allowed
from semcom.scenario.yaml_file import Problem, dotted


def split(data: Any, path: str) -> tuple[str, ...]:
    """The keys of a dotted path into ``data``. Where existing keys hold dots, the longest that fits is taken.

    >>> split({"systems": {"jpeg 0.5": {}}}, "systems.jpeg 0.5.link")
    ('systems', 'jpeg 0.5', 'link')
    """
    keys: tuple[str, ...] = ()
    while path:
        names = data if isinstance(data, Mapping) else ()
        fitting = [name for name in names if path == name or path.startswith(f"{name}.")]
        # an axis of a sweep is one key, dots and all
        key = max(fitting, key=len) if fitting else path if keys == ("sweep",) else path.partition(".")[0]
        keys += (key,)
        data = data.get(key) if isinstance(data, Mapping) else None
        path = path[len(key) + 1 :]
    return keys


def holds_component(keys: tuple[str, ...]) -> bool:
    """Whether ``keys`` lead to a component or into one, so that a plain name there is short for its kind."""
    return len(keys) >= 3 if keys[:1] == ("systems",) else keys[:1] in (("source",), ("channel",), ("task",))


def assign(data: Mapping[str, Any], keys: tuple[str, ...], value: Any) -> dict[str, Any] | Problem:
    """``data`` with ``value`` at ``keys``; the original is left alone.

    A new ``kind`` drops the fields of the old one. A name that stands for a component unfolds to a
    mapping where one of its fields is set.
    """
    result = dict(data)
    here = result
    for depth, key in enumerate(keys[:-1], start=1):
        below = here.get(key)
        if keys[0] == "systems" and depth == 2 and below is None:
            return Problem(keys[:2], f"there is no system '{key}'; {allowed(key, here)}")
        if isinstance(below, str) and holds_component(keys[:depth]):
            below = {"kind": below}
        if below is not None and not isinstance(below, Mapping):
            return Problem(keys, f"'{dotted(keys[:depth])}' is no mapping of keys to values; set it as a whole")
        here[key] = dict(below or {})
        here = here[key]
    if keys[-1] == "kind" and holds_component(keys[:-1]) and here.get("kind") != value:
        here.clear()
    here[keys[-1]] = value
    return result


def order(keys: tuple[str, ...]) -> tuple[int, bool]:
    """Sorts assignments: a whole before its parts, a kind before the other fields."""
    return len(keys), keys[-1] != "kind"
