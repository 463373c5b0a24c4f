"""What there is to say about a component: its page, as data."""

from __future__ import annotations

import inspect
import json
import types
import typing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from semcom import registry
from semcom.errors import ScenarioError
from semcom.scenario.sentences import given

_WORDS = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    Fraction: "fraction",
    Path: "path",
    type(None): "nothing",
}
_LIMITS = {"gt": "above {}", "ge": "at least {}", "lt": "below {}", "le": "at most {}", "min_length": "at least {} entries",
           "max_length": "at most {} entries", "pattern": "matching {}", "multiple_of": "a multiple of {}"}  # fmt: skip


@dataclass(frozen=True)
class Parameter:
    """One field of a component. ``default`` is as a file would write it, or "required"; ``text`` names the unit."""

    name: str
    type: str
    default: str
    text: str
    auto: tuple[Any, ...] = ()  # what ``auto`` chooses from


@dataclass(frozen=True)
class Page:
    """A component's docstring without its example, its parameters, and the example: YAML under the role's name."""

    role: str
    kind: str
    summary: str
    text: str
    parameters: tuple[Parameter, ...]
    snippet: str
    defined_in: str


def describe(role: str, kind: str, allow_plugins: bool = False) -> Page:
    """The page of a component. Raises: ScenarioError with the nearest name where there is none."""
    description = registry.find(role, kind, allow_plugins)
    text, _, example = inspect.cleandoc(description.__doc__ or "").partition("Example::")
    snippet = inspect.cleandoc("\n" + example) if example.strip() else f"{role}: {kind}"
    parameters = tuple(_parameter(description, name, info) for name, info in description.model_fields.items() if name != "kind")
    where = f"{description.__module__}:{description.__qualname__}"
    return Page(role, kind, _summary(description), text.strip(), parameters, snippet, where)


def catalogue() -> dict[str, dict[str, str]]:
    """role -> kind -> summary line; the reason in its place where a component cannot be imported."""
    return {role: {kind: _line(role, kind) for kind in registry.kinds(role)} for role in registry.TABLE}


def _line(role: str, kind: str) -> str:
    try:
        return _summary(registry.find(role, kind))
    except ScenarioError as error:
        return str(error)


def _summary(description: type[BaseModel]) -> str:
    return inspect.cleandoc(description.__doc__ or "").partition("\n")[0]


def _parameter(description: type[BaseModel], name: str, info: FieldInfo) -> Parameter:
    default = "required" if info.is_required() else _written(description, name, info)
    choices = getattr(description, "choices", lambda field: ())(name)
    return Parameter(name, _type_text(info.annotation, info.metadata), default, info.description or "", tuple(choices))


def _written(description: type[BaseModel], name: str, info: FieldInfo) -> str:
    value = info.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    text = given(json.loads(json.dumps(value, default=str)))
    return text.strip("'") if isinstance(value, (str, Fraction, Path)) else text


def _type_text(annotation: Any, metadata: typing.Sequence[Any] = ()) -> str:
    limits = [
        form.format(getattr(rule, name))
        for rule in metadata
        for name, form in _LIMITS.items()
        if getattr(rule, name, None) is not None
    ]
    return ", ".join([_bare(annotation), *limits])


def _bare(annotation: Any) -> str:
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type_text(parts[0], parts[1:])
    if origin is Literal:
        return "one of " + ", ".join(given(part).strip("'") for part in parts)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(_bare(part) for part in parts))
    if origin in (tuple, list, set, frozenset):
        inner = [part for part in parts if part is not Ellipsis]
        same = len(set(map(str, inner))) == 1
        many = Ellipsis in parts or origin is not tuple
        return "list of " + (
            _bare(inner[0]) if many else f"{len(inner)} x {_bare(inner[0])}" if same else ", ".join(map(_bare, inner))
        )
    if origin is dict:
        return f"mapping of names to {_bare(parts[1])}"
    if annotation in _WORDS:
        return _WORDS[annotation]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mapping with " + ", ".join(annotation.model_fields) if annotation.model_fields else "component, by its kind"
    return getattr(annotation, "__name__", str(annotation))
