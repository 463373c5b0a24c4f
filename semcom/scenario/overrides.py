"""``--set path=value``: one field of a scenario, given beside its file.

The value is YAML. A new ``kind`` drops the other fields of the old one. What is set wins over the file:
setting a swept field fixes it and drops its axis, setting an axis drops the fixed value, null removes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from semcom.errors import ScenarioError
from semcom.scenario.paths import assign, below, order, split
from semcom.scenario.yaml_file import Document, Keys, Problem, read_text


def apply(document: Document, overrides: Sequence[str]) -> Document:
    """The document with the overrides in place: a whole before its parts, a kind before its other fields."""
    if not overrides or not isinstance(document.data, Mapping):
        return document
    written = [_parse(text) for text in overrides]
    data, set_here, wrong = document.data, {path for path, _, _ in written}, []
    places: list[tuple[Keys, str]] = []
    for path, value, text in sorted(written, key=lambda item: order(split(document.data, item[0]))):
        keys = split(data, path)
        places.append((keys, text))
        changed = assign(data, keys, value)
        if isinstance(changed, Problem):
            wrong.append(Problem(keys, changed.sentence))
            continue
        axis = keys[1] if keys[0] == "sweep" and len(keys) > 1 else path
        if keys[0] == "sweep" and value is not None and axis not in set_here:
            changed = without(changed, split(changed, axis))
        elif keys[0] != "sweep":
            for other in _axes_at(changed, keys):
                changed = changed if f"sweep.{other}" in set_here else without(changed, ("sweep", other))
        data = changed
    document = Document(document.name, data, document.lines, places)
    if wrong:
        raise document.error(wrong)
    return document


def _axes_at(data: Mapping[str, Any], keys: Keys) -> list[str]:
    """The axes of the sweep that write where ``keys`` lead, however they name it."""
    sweep = data.get("sweep")
    return [axis for axis in sweep if isinstance(axis, str) and split(data, axis) == keys] if isinstance(sweep, Mapping) else []


def without(data: Mapping[str, Any], keys: Keys) -> dict[str, Any]:
    """``data`` without what stands at ``keys``, if anything does; of a stage in a list its kind remains."""
    head, *rest = keys
    inner = below(data, head)
    if inner is None and not (isinstance(data, Mapping) and head in data):
        return data if isinstance(data, list) else dict(data)
    if isinstance(data, list):
        kept = {"kind": inner["kind"]} if isinstance(inner, Mapping) and "kind" in inner else inner
        changed = kept if not rest or not isinstance(inner, (Mapping, list)) else without(inner, tuple(rest))
        return [changed if place == head else item for place, item in enumerate(data)]
    if not rest:
        return {key: item for key, item in data.items() if key != head}
    if rest == ["kind"] and isinstance(inner, str):  # a name is short for a mapping that holds nothing but it
        return {key: item for key, item in data.items() if key != head}
    return {**data, head: without(inner, tuple(rest))} if isinstance(inner, (Mapping, list)) else dict(data)


def _parse(text: str) -> tuple[str, Any, str]:
    """(path, value, how errors name it)"""
    path, equals, value = text.partition("=")
    path, name = path.strip(), f"--set {text}"
    if not equals or not path or "" in path.split("."):
        raise ScenarioError(f"{name}: expected PATH=VALUE, such as channel.kind=rayleigh")
    try:
        return path, read_text(value, name).data, name
    except ScenarioError as error:
        raise ScenarioError(str(error).replace(f"{name}:1:", f"{name}:")) from None
