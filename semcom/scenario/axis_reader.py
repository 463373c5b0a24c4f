"""The axes of a sweep: whether there is such a field, and its values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any

from semcom.errors import allowed
from semcom.scenario.axes import MOST_POINTS, Grid, named, repeated
from semcom.scenario.components import find, unfold
from semcom.scenario.paths import below, split
from semcom.scenario.scenario import EVERY_SYSTEM, decibels, ratio, targets, text_of
from semcom.scenario.sentences import given
from semcom.scenario.systems import ROLES
from semcom.scenario.yaml_file import Keys, Problem, dotted


class AxisReader:
    """Reads the section ``sweep`` against the scenario's other ``data``; ``written`` is the section as it stands in the file."""

    def __init__(self, data: Mapping[str, Any], written: Any, allow_plugins: bool):
        self.data, self.allow_plugins = data, allow_plugins
        self.written = written if isinstance(written, Mapping) else {}
        self.problems: list[Problem] = []

    def read(self, sweep: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
        """The values of each axis that is right; ``problems`` says what is wrong with the others."""
        read: dict[str, tuple[Any, ...]] = {}
        for axis, written in sweep.items():
            if written is not None and self._is_axis(axis) and not self._is_given(axis):
                values = self._values(axis, written)
                if values is not None:
                    read[axis] = values
        if (points := prod(map(len, read.values()))) > MOST_POINTS:
            sizes = " x ".join(str(len(values)) for values in read.values())
            self.problems.append(Problem(("sweep",), f"the grid has {sizes} = {points} points; allowed: at most {MOST_POINTS}"))
            read = {axis: values[:1] for axis, values in read.items()}
        return {axis: read[axis] for axis in sorted(read, key=lambda axis: axis == "snr_db")}

    def _is_axis(self, axis: str) -> bool:
        keys = split(self.data, axis)
        if keys[:2] == EVERY_SYSTEM:
            return bool(self._targets(axis)) or self._no_axis(axis, ())
        for place, role in self._places():
            if keys[: len(place)] != place:
                continue
            if len(keys) == len(place):
                return True
            inner = ".".join(map(str, keys[len(place) :]))
            if role is None:
                return self._no_axis(axis, ())
            if self._is_list(place) and (isinstance(keys[len(place)], str) or not self._is_stage(keys)):
                return self._no_axis(axis, [dotted(stage) for stage, _ in self._stages()])
            fields = self._fields(place, role)
            if fields is None or inner == "kind" or any(inner == name or inner.startswith(f"{name}.") for name in fields):
                return True
            return self._no_axis(axis, [f"{self._written_as(place)}.{name}" for name in sorted(fields)])
        return self._no_axis(axis, ())

    def _targets(self, axis: str) -> tuple[Keys, ...]:
        return targets(self.data, axis, self.allow_plugins)

    def _is_list(self, keys: Keys) -> bool:
        return keys == ("channel",) and isinstance(self.data.get("channel"), list)

    def _is_stage(self, keys: Keys) -> bool:
        return any(keys[: len(stage)] == stage for stage, _ in self._stages())

    def _stages(self) -> Iterator[tuple[Keys, str]]:
        """The stages of a channel that is listed."""
        listed = self.data.get("channel")
        yield from ((("channel", place), "channel") for place in range(len(listed) if isinstance(listed, list) else 0))

    def _written_as(self, keys: Keys) -> str:
        """How an axis names a place: a stage by its kind where it alone has it."""
        if len(keys) != 2 or not isinstance(keys[1], int):
            return dotted(keys)
        stage = unfold(self.data["channel"][keys[1]])
        name = f"channel.{stage.get('kind')}" if isinstance(stage, Mapping) else ""
        return name if name and split(self.data, name) == keys else f"channel.{keys[1]}"

    def _no_axis(self, axis: str, fields: Sequence[str]) -> bool:
        """Says that there is no such axis. The nearest is looked for everywhere; shown is what is allowed where it went wrong."""
        everything = [self._written_as(keys) for keys, _ in self._places()]
        everything += [
            f"{self._written_as(keys)}.{name}" for keys, role in self._places() if role for name in self._fields(keys, role) or ()
        ]
        ends = [path for path in everything if path.endswith(f".{axis}")]
        hint = allowed(axis, everything).partition("; did you mean ")[2]
        near = f"; did you mean '{ends[0]}'?" if ends else f"; did you mean {hint}" if hint else ""
        shown = ", ".join(fields or [self._written_as(keys) for keys, _ in self._places()])
        self.problems.append(
            Problem(
                ("sweep", axis), f"there is no '{axis}' to sweep; allowed: {shown}{'' if fields else ' and their fields'}{near}"
            )
        )
        return False

    def _places(self) -> Iterator[tuple[Keys, str | None]]:
        """What can be swept: places, and the role of the component that stands there."""
        yield from ((("snr_db",), None), (("bandwidth_ratio",), None), (("source",), "source"))
        yield from self._stages()
        yield ("channel",), "channel"
        yield from ((("systems", name, role), role) for name in self.data["systems"] for role in ROLES)

    def _fields(self, keys: Keys, role: str) -> set[str] | None:
        """Fields of all kinds that may stand at a place; None where a kind is wrong, which is said elsewhere."""
        value = self._at(keys)
        candidates = [unfold(value)] if value is not None else []
        for axis, items in self.written.items():
            place = split(self.data, axis) if isinstance(axis, str) else ()
            if place == keys:
                candidates += [unfold(item) for item in _listed(items)]
            elif place == (*keys, "kind"):
                candidates += [{"kind": item} for item in _listed(items)]
        candidates = [stage for one in candidates for stage in (one if isinstance(one, list) and role == "channel" else [one])]
        classes = [find(role, candidate, keys, self.allow_plugins) for candidate in candidates]
        if not classes or any(isinstance(found, Problem) for found in classes):
            return None
        return {name for found in classes for name in found.model_fields}

    def _at(self, keys: Keys) -> Any:
        value: Any = self.data
        for key in keys:
            value = below(value, key)
        return value

    def _is_given(self, axis: str) -> bool:
        return any(self._is_given_at(axis, keys) for keys in self._targets(axis))

    def _is_given_at(self, axis: str, keys: Keys) -> bool:
        value = self._at(keys)
        if value is None or (self._is_stage(keys) and len(keys) == 2 and _is_bare(value)):
            return False  # a stage in a list that is nothing but its kind keeps the place of those that are swept
        tuned = value == "auto" or (isinstance(value, Mapping) and "best_of" in value)
        what = "is tuned there and cannot be swept as well" if tuned else f"is given there ({given(value)}) and swept here"
        self.problems.append(Problem(("sweep", axis), f"'{axis}' {what}; keep one of the two"))
        return True

    def _values(self, axis: str, written: Any) -> tuple[Any, ...] | None:
        at: Keys = ("sweep", axis)
        before = len(self.problems)
        if isinstance(written, Grid):
            try:
                convert = str if axis == "bandwidth_ratio" else written.convert()
                written = [convert(value) for value in written.values()]
            except ValueError as error:
                self.problems.append(Problem(at, str(error)))
                return None
        if not written:
            self.problems.append(Problem(at, "the list is empty; give at least one value"))
            return None
        keys = self._targets(axis)[0]
        component = any(keys == place and role for place, role in self._places())
        items = self.written.get(axis)
        places = list(items) if named(items) else range(len(written))
        values = [self._value(keys, value, (*at, place), component) for place, value in zip(places, written, strict=True)]
        if (twice := repeated(values)) is not None:
            self.problems.append(Problem(at, f"{given(text_of(twice))} is listed twice"))
        return tuple(values) if len(self.problems) == before else None

    def _value(self, keys: Keys, value: Any, at: Keys, component: bool) -> Any:
        if isinstance(value, Mapping) and "best_of" in value:
            self.problems.append(Problem(at, "a value of a sweep cannot be tuned as well; give one value"))
        if keys in (("snr_db",), ("bandwidth_ratio",)):
            read = decibels(value, at) if keys == ("snr_db",) else ratio(value, at)
            self.problems += read if isinstance(read, list) else []
            return value if isinstance(read, list) else read
        if value is None:
            self.problems.append(Problem(at, "nothing was given; expected a value"))
        return unfold(value) if component else value


def _is_bare(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, Mapping) and list(value) == ["kind"])


def _listed(written: Any) -> list[Any]:
    values = written.values() if named(written) else written
    return [value for value in values if value is not None] if isinstance(written, list) or named(written) else []
