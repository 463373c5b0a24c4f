"""Components as a scenario writes them: a name or a mapping, strictly checked against its description."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from semcom import registry
from semcom.errors import ScenarioError, allowed
from semcom.scenario.axes import repeated
from semcom.scenario.sentences import given, problems
from semcom.scenario.yaml_file import Keys, Problem

#: other words that people use
_SLIPS = {"kind": ("type", "name"), "best_of": ("choices", "candidates", "any_of", "one_of")}
_OUTSIDE = re.compile(r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$")


def unfold(value: Any) -> Any:
    """``rayleigh`` is short for ``{kind: rayleigh}``; the kind comes first. A list is of stages, each unfolded."""
    if isinstance(value, str):
        return {"kind": value}
    if isinstance(value, list):
        return [unfold(item) for item in value]
    if isinstance(value, Mapping) and "kind" in value:
        return {"kind": value["kind"], **value}
    return value


def parse(role: str, value: Any, at: Keys, allow_plugins: bool = False) -> BaseModel | list[Problem]:
    """The description that ``value`` (unfolded) stands for, or what is wrong with it. A channel may be a list of stages."""
    if role != "channel":
        return _one(role, value, at, allow_plugins)
    listed = isinstance(value, list) and bool(value)
    found = [_one(role, stage, (*at, place), allow_plugins) for place, stage in enumerate(value)] if listed else [_one(role, value, at, allow_plugins)]
    if wrong := [problem for result in found if isinstance(result, list) for problem in result]:
        return wrong
    if (reason := registry.stages_fault(found)) is not None:
        place, sentence = reason
        return [Problem((*at, place) if listed else at, sentence)]
    return registry.channel_of(found)


def _one(role: str, value: Any, at: Keys, allow_plugins: bool) -> BaseModel | list[Problem]:
    found = find(role, value, at, allow_plugins)
    if isinstance(found, Problem):
        return [found]
    fields = {key: item for key, item in value.items() if key != "kind"}
    if inside := list(_nested(role, fields, at, allow_plugins)):
        return inside
    try:
        # JSON's strict mode: a list may become a tuple and text a path, but no text becomes a number
        return found.model_validate_json(json.dumps(fields, default=str), strict=True, context={"allow_plugins": allow_plugins})
    except ValidationError as error:
        return problems(error, found, fields, at, more_keys=("kind",))


def _nested(role: str, value: Any, at: Keys, allow_plugins: bool) -> Iterator[Problem]:
    """Problems of components of the same role inside a component: a part's link, found where it stands."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            found = parse(role, item, (*at, key), allow_plugins) if isinstance(item, Mapping) and "kind" in item else None
            yield from found if isinstance(found, list) else () if found else _nested(role, item, (*at, key), allow_plugins)


def find(role: str, value: Any, at: Keys, allow_plugins: bool) -> type[BaseModel] | Problem:
    """The description class that an unfolded ``value`` names."""
    names = registry.kinds(role)
    if not isinstance(value, Mapping):
        stages = ", or a list of stages" if role == "channel" and not isinstance(at[-1], int) else ""
        return Problem(at, f"{given(value)} was given; expected a name or a mapping with a 'kind'{stages}; {allowed(value, names)}")
    if "kind" not in value:
        return Problem(at, f"'kind' is missing{_meant('kind', value)}; {allowed('', names)}")
    kind = value["kind"]
    if not isinstance(kind, str) or (":" in kind and not _OUTSIDE.match(kind)):
        expected = "expected a name or 'package.module:Class'"
        return Problem((*at, "kind"), f"{given(kind)} was given; {expected}; {allowed(kind, names)}")
    if ":" not in kind and kind not in names:
        return Problem((*at, "kind"), f"there is no {role} '{kind}'; {allowed(kind, names)}")
    try:
        found = registry.find(role, kind, allow_plugins)
    except ScenarioError as error:
        return Problem((*at, "kind"), str(error))
    if not (
        isinstance(found, type) and issubclass(found, BaseModel) and hasattr(found, "build") and "kind" in found.model_fields
    ):
        return Problem(
            (*at, "kind"), f"'{kind}' is no description; expected a Component with a field 'kind' and a method 'build'"
        )
    return found


def tuned(role: str, value: Any, at: Keys, allow_plugins: bool) -> Iterator[tuple[Keys, tuple[Any, ...] | Problem]]:
    """The fields of an unfolded component that are left free: (keys from ``at``, candidates or what is wrong).

    ``{best_of: [...]}`` names the candidates; ``auto`` takes those that the field's class offers.
    """
    if not isinstance(value, Mapping):
        return
    found = find(role, value, at, allow_plugins) if "kind" in value else None
    for name, item in value.items():
        if item == "auto" and hasattr(found, "choices"):
            # plain values, as a file or a stored table would say them
            if choices := tuple(json.loads(json.dumps(list(found.choices(name)), default=str))):
                yield (name,), choices
        elif isinstance(item, Mapping) and "best_of" in item:
            yield (name,), _candidates(item, (*at, name))
        elif isinstance(item, Mapping) and len(item) == 1 and (near := _meant("best_of", item)):
            yield (name,), Problem((*at, name), f"{given(item)} was given{near}")
        elif isinstance(item, Mapping):
            for keys, candidates in tuned(role, item, (*at, name), allow_plugins):
                yield (name, *keys), candidates


def _meant(name: str, keys: Iterable[str]) -> str:
    """A hint that one of ``keys`` is a slip for ``name``."""
    for key in keys:
        if key.startswith(f"{name}:"):
            return f" ('{key}': a ':' is followed by a space)"
        if get_close_matches(name, [key.lower()], cutoff=0.75) or key in _SLIPS.get(name, ()):
            return f" (is '{key}' meant to be '{name}'?)"
    return ""


def _candidates(value: Mapping[str, Any], at: Keys) -> tuple[Any, ...] | Problem:
    candidates = value["best_of"]
    if others := [key for key in value if key != "best_of"]:
        return Problem((*at, others[0]), f"'{others[0]}' stands beside best_of; allowed: best_of alone")
    if not isinstance(candidates, list) or not candidates:
        return Problem((*at, "best_of"), f"{given(candidates)} was given; expected a list of at least one candidate")
    if (twice := repeated(candidates)) is not None:
        return Problem((*at, "best_of"), f"{given(twice)} is listed twice")
    return tuple(candidates)


def offered(role: str, suits) -> list[str]:
    """The kinds of a role whose description ``suits``; those that cannot be imported are left out."""
    names = []
    for kind in registry.kinds(role):
        try:
            found = registry.find(role, kind)
        except ScenarioError:
            continue
        if suits(found):
            names.append(kind)
    return names
