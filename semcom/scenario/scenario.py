"""A checked scenario: what is compared, and the points of its sweep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import product
from math import prod
from typing import Any

import yaml
from pydantic import BaseModel

from semcom.errors import allowed
from semcom.scenario.axes import exact
from semcom.scenario.components import find, parse, unfold
from semcom.scenario.identity import digest
from semcom.scenario.paths import assign, order, split
from semcom.scenario.schema import Execution, Figures, Tuning
from semcom.scenario.sentences import given
from semcom.scenario.systems import ROLES, SystemSpec, read_system
from semcom.scenario.yaml_file import Document, Dumper, Keys, Problem

#: a part of a scenario that is resolved by itself: ("channel",), ("systems", "softcast")
Section = tuple[str, ...]
#: how an axis begins that writes into all systems that have its field
EVERY_SYSTEM = ("systems", "*")


@dataclass(frozen=True)
class Point:
    """One point of the sweep. ``values`` holds its place on each axis: numbers, text, or exact fractions."""

    values: Mapping[str, Any]
    snr_db: float
    bandwidth_ratio: Fraction
    source: BaseModel
    channel: BaseModel
    systems: tuple[SystemSpec, ...]

    def identity(self) -> dict[str, Any]:
        """What changes the numbers of this point, besides the systems."""
        return {
            "source": self.source.identity(),
            "channel": self.channel.identity(),
            "bandwidth_ratio": self.bandwidth_ratio,
            "snr_db": self.snr_db,
        }


@dataclass(frozen=True)
class Scenario:
    """A scenario without faults. Make one with `load` or `from_mapping`.

    ``axes`` maps each swept path to its values, in the order of the sweep: ``snr_db`` is the innermost.
    ``names`` holds what figures and tables call the values of an axis, where the scenario names them.
    ``data`` is the scenario as plain data, in canonical form.
    """

    name: str
    seed: int
    repeats: int
    metrics: tuple[BaseModel, ...]
    axes: Mapping[str, tuple[Any, ...]]
    figures: Figures
    execution: Execution
    data: Mapping[str, Any] = field(repr=False)
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    allow_plugins: bool = False
    tuning: Tuning = Tuning()
    document: Document | None = field(default=None, compare=False, repr=False)
    _resolved: dict = field(default_factory=dict, compare=False, repr=False)

    def __len__(self) -> int:
        """Points of the sweep."""
        return prod(map(len, self.axes.values()))

    def points(self) -> list[Point]:
        """The grid of all axes: the first axis is the slowest, ``snr_db`` the fastest."""
        names, own = list(self.axes), axes_of(self.data, self.axes, self.allow_plugins)
        grid = product(*(range(len(values)) for values in self.axes.values()))
        return [self._point(dict(zip(names, place, strict=True)), own) for place in grid]

    def dump(self) -> str:
        """Canonical YAML, which loads back as an equal scenario."""
        return yaml.dump(dict(self.data), Dumper=Dumper, sort_keys=False, default_flow_style=None, allow_unicode=True, width=120)

    def identity(self) -> dict[str, Any]:
        """What of this scenario changes any number; no names, labels, figures or execution."""
        points = [{**point.identity(), "systems": [spec.identity() for spec in point.systems]} for point in self.points()]
        metrics = [metric.identity() for metric in self.metrics]
        tuning = self.tuning.model_dump(mode="json", exclude_defaults=True)
        return {"seed": self.seed, "repeats": self.repeats, "metrics": metrics, "points": points} | ({"tuning": tuning} if tuning else {})

    def digest(self) -> str:
        """Sixteen hex digits that change when any number may."""
        return digest(self.identity())

    def check_images(self, names: Iterable[str]) -> None:
        """Raises: ScenarioError where the panel shows an image that is not among ``names``, the source's images."""
        names = list(names)
        wrong = [
            Problem(("figures", "panel", "images", index), f"there is no image '{image}'; {allowed(image, names)}")
            for index, image in enumerate(self.figures.panel.images)
            if image not in names
        ]
        if wrong:
            raise (self.document or Document(self.name, None)).error(wrong)

    def _point(self, place: Mapping[str, int], own: Mapping[Section, tuple[str, ...]]) -> Point:
        """The point at these indices into the axes; a section is resolved once for all points that share it."""
        single: dict[str, Any] = {}
        systems: list[SystemSpec] = []
        for section, axes in own.items():
            key = (section, tuple(place[axis] for axis in axes))
            if key not in self._resolved:
                values = {axis: self.axes[axis][place[axis]] for axis in axes}
                self._resolved[key] = resolve(self.data, section, values, self.allow_plugins)
            if section[0] == "systems":
                systems.append(self._resolved[key])
            else:
                single[section[0]] = self._resolved[key]
        values = {axis: self._shown(axis, index) for axis, index in place.items()}
        return Point(values, systems=tuple(systems), **single)

    def _shown(self, axis: str, index: int) -> Any:
        return self.names[axis][index] if axis in self.names else text_of(self.axes[axis][index])


def sections(data: Mapping[str, Any]) -> list[Section]:
    return [("source",), ("bandwidth_ratio",), ("channel",), ("snr_db",), *(("systems", name) for name in data["systems"])]


def axes_of(data: Mapping[str, Any], axes: Iterable[str], allow_plugins: bool = False) -> dict[Section, tuple[str, ...]]:
    """The axes that write into each section."""
    keys_of = {axis: targets(data, axis, allow_plugins) for axis in axes}
    return {
        section: tuple(axis for axis, places in keys_of.items() if any(keys[: len(section)] == section for keys in places))
        for section in sections(data)
    }


def targets(data: Mapping[str, Any], axis: str, allow_plugins: bool = False) -> tuple[Keys, ...]:
    """The places that an axis writes to: one, or with ``systems.*`` that of every system that has such a field."""
    keys = split(data, axis)
    if keys[:2] != EVERY_SYSTEM:
        return (keys,)
    places = [("systems", name, *keys[2:]) for name in data["systems"]]
    return tuple(place for place in places if _has_field(data, place, allow_plugins))


def _has_field(data: Mapping[str, Any], keys: Keys, allow_plugins: bool) -> bool:
    if len(keys) < 4:
        return len(keys) == 3 and keys[2] in ROLES
    component = unfold(data["systems"][keys[1]].get(keys[2])) if keys[2] in ROLES else None
    found = None if component is None else find(str(keys[2]), component, keys[:3], allow_plugins)
    return not isinstance(found, (Problem, type(None))) and (keys[3] == "kind" or keys[3] in found.model_fields)


def resolve(data: Mapping[str, Any], section: Section, values: Mapping[str, Any], allow_plugins: bool) -> Any:
    """A section with the ``values`` of its axes in place: a number, a description or a SystemSpec, or its problems."""
    keys_of = {
        axis: next(keys for keys in targets(data, axis, allow_plugins) if keys[: len(section)] == section) for axis in values
    }
    for axis in sorted(values, key=lambda axis: order(keys_of[axis])):
        data = assign(data, keys_of[axis], values[axis])
        if isinstance(data, Problem):
            return [data]
    if section[0] == "systems":
        return _system(data["systems"][section[1]], section[1], allow_plugins)
    value = data.get(section[0])
    if section[0] == "snr_db":
        return decibels(value, section)
    if section[0] == "bandwidth_ratio":
        return ratio(value, section)
    return parse(section[0], unfold(value), section, allow_plugins)


def _system(entry: Mapping[str, Any], name: str, allow_plugins: bool) -> SystemSpec | list[Problem]:
    parts = {role: unfold(entry.get(role)) for role in ROLES}
    return read_system(name, parts, entry.get("label") or name, entry.get("role", "system"), allow_plugins)


def decibels(value: Any, at: Keys) -> float | list[Problem]:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= 1000:
        return [Problem(at, f"{given(value)} was given; expected a number of dB between -1000 and 1000")]
    return float(value) + 0.0


def ratio(value: Any, at: Keys) -> Fraction | list[Problem]:
    try:
        number = exact(value)
    except ValueError as error:
        return [Problem(at, f"{given(value)} was given; {error}")]
    return number if number > 0 else [Problem(at, f"{given(value)} was given; expected a fraction above 0 such as 1/24")]


def text_of(value: Any) -> Any:
    """A value as tables and axes show it: a component is its kind and, in brackets, its fields."""
    if isinstance(value, Mapping) and "kind" in value:
        fields = ", ".join(f"{key}={text_of(item)}" for key, item in value.items() if key != "kind")
        return f"{value['kind']}({fields})" if fields else value["kind"]
    if isinstance(value, list) and value and all(isinstance(item, Mapping) and "kind" in item for item in value):
        return " + ".join(text_of(item) for item in value)  # the stages of a channel
    if isinstance(value, (Mapping, list)):
        return given(value)
    return value
