"""Places in a scenario, as ``--set`` and ``sweep`` name them: ``channel.k_db``, ``channel.tdl.speed_kmh``, ``systems.softcast.link``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from semcom.errors import allowed
from semcom.scenario.yaml_file import Keys, Problem, dotted


def split(data: Any, path: str) -> Keys:
    """The keys of a dotted path into ``data``. Where existing keys hold dots, the longest that fits is taken. An item of a
    list is named by its place, from 0, or by its kind where one item alone has it.

    >>> split({"systems": {"jpeg 0.5": {}}}, "systems.jpeg 0.5.link")
    ('systems', 'jpeg 0.5', 'link')
    >>> split({"channel": ["awgn", {"kind": "adc"}]}, "channel.adc.bits")
    ('channel', 1, 'bits')
    """
    keys: Keys = ()
    while path:
        names = data if isinstance(data, Mapping) else ()
        fitting = [name for name in names if path == name or path.startswith(f"{name}.")]
        # an axis of a sweep is one key, dots and all
        word = max(fitting, key=len) if fitting else path if keys == ("sweep",) else path.partition(".")[0]
        key = _place(data, word) if isinstance(data, list) else word
        keys += (key,)
        data = below(data, key)
        path = path[len(word) + 1 :]
    return keys


def _place(items: Sequence[Any], word: str) -> str | int:
    """Where in a list the item is that ``word`` names; the word itself where none is, or several are."""
    if word.isdecimal():
        return int(word)
    kinds = [item.get("kind") if isinstance(item, Mapping) else item for item in items]
    return kinds.index(word) if kinds.count(word) == 1 else word


def below(data: Any, key: str | int) -> Any:
    """What stands at ``key`` of a mapping or a list; None where nothing does."""
    if isinstance(data, Mapping):
        return data.get(key)
    inside = isinstance(data, list) and isinstance(key, int) and 0 <= key < len(data)
    return data[key] if inside else None


def holds_component(keys: Keys) -> bool:
    """Whether ``keys`` lead to a component or into one, so that a plain name there is short for its kind."""
    return len(keys) >= 3 if keys[:1] == ("systems",) else keys[:1] in (("source",), ("channel",), ("task",))


def assign(data: Mapping[str, Any], keys: Keys, value: Any) -> dict[str, Any] | Problem:
    """``data`` with ``value`` at ``keys``; the original is left alone.

    A new ``kind`` drops the fields of the old one. A name that stands for a component unfolds to a
    mapping where one of its fields is set.
    """
    result = dict(data)
    here: Any = result
    for depth, key in enumerate(keys[:-1], start=1):
        if isinstance(here, list) and (wrong := _no_item(here, keys[:depth])):
            return wrong
        inner = below(here, key)
        if keys[0] == "systems" and depth == 2 and inner is None:
            return Problem(keys[:2], f"there is no system '{key}'; {allowed(key, here)}")
        if isinstance(inner, str) and holds_component(keys[:depth]):
            inner = {"kind": inner}
        is_stages = isinstance(inner, list) and keys[:1] == ("channel",)
        if inner is not None and not isinstance(inner, Mapping) and not is_stages:
            return Problem(keys, f"'{dotted(keys[:depth])}' is no mapping of keys to values; set it as a whole")
        here[key] = list(inner) if is_stages else dict(inner or {})
        here = here[key]
    if isinstance(here, list) and (wrong := _no_item(here, keys)):
        return wrong
    if keys[-1] == "kind" and holds_component(keys[:-1]) and here.get("kind") != value:
        here.clear()
    here[keys[-1]] = value
    return result


def _no_item(items: Sequence[Any], keys: Keys) -> Problem | None:
    """Says that the last of ``keys`` names no item of the list ``items``."""
    if isinstance(keys[-1], int) and keys[-1] < len(items):
        return None
    kinds = [str(item.get("kind") if isinstance(item, Mapping) else item) for item in items]
    twice = f", and '{keys[-1]}' is there {kinds.count(keys[-1])} times" if keys[-1] in kinds else ""
    names = [kind for kind in kinds if kinds.count(kind) == 1]
    return Problem(
        keys[:-1],
        f"there is no stage '{keys[-1]}' to name here; a stage is named by its place, 0 to {len(items) - 1}{twice}, or by its kind; "
        f"{allowed(keys[-1], names)}",
    )


def order(keys: Keys) -> tuple[int, bool]:
    """Sorts assignments: a whole before its parts, a kind before the other fields."""
    return len(keys), keys[-1] != "kind"
