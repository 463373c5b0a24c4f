"""From a file to a checked scenario: everything that is wrong with it is said before anything runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, product
from math import prod
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from semcom import registry, units
from semcom.errors import ScenarioError, allowed
from semcom.scenario import overrides as beside
from semcom.scenario.axes import named
from semcom.scenario.axis_reader import AxisReader
from semcom.scenario.components import find, parse, unfold
from semcom.scenario.paths import order, split
from semcom.scenario.scenario import Scenario, Section, axes_of, ratio, resolve, targets, text_of
from semcom.scenario.schema import Classes, Curves, Figures, Panel, ScenarioFile, Tuning
from semcom.scenario.sentences import given, problems
from semcom.scenario.systems import ROLES, SystemSpec
from semcom.scenario.yaml_file import Document, Keys, Problem, read_file

#: rates that tables compute from the counts of a link, beside the columns of the metrics
RATES = ("ber_raw", "ber", "bler", "fer", "failure_rate")

#: points of the sweep that are resolved before a run; the others are as the axes' values are, each of which is checked
MOST_CHECKED = 2_000

_SINGLE = ("source", "bandwidth_ratio", "channel", "snr_db")


def load(path: str | Path, overrides: Sequence[str] = (), allow_plugins: bool = False) -> Scenario:
    """The scenario in a YAML file, with ``overrides`` such as "channel.kind=rayleigh" in place.

    ``allow_plugins`` admits components from outside the package, kind "package.module:Class".
    Raises: ScenarioError with one line for everything that is wrong: file, line, path, what was given,
    what is allowed and the nearest name.

    Example::

        scenario = load("scenarios/quickstart.yaml", overrides=["channel.kind=rayleigh", "sweep.snr_db=[0, 10]"])
        for point in scenario.points():
            ...
    """
    return check(beside.apply(read_file(path), overrides), Path(path).stem, allow_plugins)


def from_mapping(data: Mapping[str, Any], overrides: Sequence[str] = (), allow_plugins: bool = False) -> Scenario:
    """The scenario that a mapping describes, as a file would; for notebooks. Its name is "scenario" if it has none."""
    try:
        plain = json.loads(json.dumps(data, default=str))
    except (TypeError, ValueError) as error:  # keys that are no names, a mapping that holds itself
        raise ScenarioError(f"scenario: the mapping cannot be written as YAML ({error}); expected names, values, lists and mappings") from error
    return check(beside.apply(Document("scenario", plain), overrides), "scenario", allow_plugins)


def check(document: Document, name: str, allow_plugins: bool) -> Scenario:
    """The scenario that a document describes. Raises: ScenarioError."""
    if not isinstance(document.data, Mapping):
        what = "the file is empty" if document.data is None else f"{given(document.data)} was given"
        raise document.error([Problem((), f"{what}; expected a mapping with {', '.join(ScenarioFile.model_fields)}")])
    checker = _Checker(document, allow_plugins)
    scenario = checker.scenario(name)
    if scenario is None:
        raise document.error(checker.problems)
    return scenario


class _Checker:
    """Goes through a document, top to bottom, and collects what is wrong."""

    def __init__(self, document: Document, allow_plugins: bool):
        self.document, self.allow_plugins = document, allow_plugins
        self.problems: list[Problem] = []
        self.axes: dict[str, tuple[Any, ...]] = {}
        self.sizes: dict[tuple[int, int], str] = {}
        self.sources: list[BaseModel] = []

    def scenario(self, name: str) -> Scenario | None:
        raw, self.names = _without_names(_without_nothing(self.document.data))
        file = self._shape(raw)
        systems = {key: _entry(entry) for key, entry in file.systems.items() if entry is not None}
        self.data = {key: unfold(getattr(file, key)) if key in ("source", "channel") else getattr(file, key) for key in _SINGLE}
        self.data = {key: item for key, item in self.data.items() if item is not None} | {"systems": systems}
        reader = AxisReader(self.data, self.document.data.get("sweep"), self.allow_plugins)
        self.axes = reader.read(file.sweep)
        self.problems += reader.problems
        self._require(systems, file)
        self._resolve()
        self._noise(systems)
        self._labels(systems)
        metrics = self._metrics(file.metrics)
        figures = self._figures(file.figures, metrics)
        self._tuning(file.tuning, metrics)
        self._name(file.name or name, given_in_file=file.name is not None)
        if self.problems:
            return None
        plain = self._canonical(file, file.name or name)
        scenario = Scenario(
            plain["name"], file.seed, file.repeats, tuple(metrics), self.axes, figures, file.execution, plain,
            self.names, self.allow_plugins, file.tuning, self.document,
        )  # fmt: skip
        self._layouts(scenario)
        return None if self.problems else scenario

    def _shape(self, raw: Mapping[str, Any]) -> ScenarioFile:
        """The file's sections; those that are wrong are left out, so that the others can be checked as well."""
        try:
            return ScenarioFile.model_validate_json(json.dumps(raw), strict=True)
        except ValidationError as error:
            found = problems(error, ScenarioFile, raw)
        if not all(problem.keys for problem in found):
            raise self.document.error(found)
        self.problems += found
        self._broken = {str(problem.keys[0]) for problem in found}
        return ScenarioFile.model_validate_json(json.dumps({k: v for k, v in raw.items() if k not in self._broken}), strict=True)

    _broken: set[str] = frozenset()

    def _name(self, name: str, given_in_file: bool) -> None:
        if given_in_file or "name" in self._broken:
            return
        try:
            ScenarioFile(name=name)
        except ValidationError:
            self.problems.append(
                Problem((), f"'name' is missing, and the file's name '{name}' is none for a folder; give a name")
            )

    def _require(self, systems: Mapping[str, Any], file: ScenarioFile) -> None:
        swept = {axis.partition(".")[0] for axis in file.sweep}
        for key in _SINGLE:
            if key not in self.data and key not in self._broken and key not in swept and "sweep" not in self._broken:
                about = ScenarioFile.model_fields[key].description
                names = f"; {allowed('', registry.kinds(key))}" if key in registry.TABLE else ""
                self.problems.append(Problem((), f"'{key}' is missing: {about}{names}"))
        if not systems and "systems" not in self._broken:
            self.problems.append(Problem((), "there is no system; name at least one, with transmit, link and receive"))
        if not file.metrics and "metrics" not in self._broken:
            self.problems.append(Problem((), f"there is no metric; list at least one; {allowed('', registry.kinds('metric'))}"))

    # sections

    def _resolve(self) -> None:
        """Every section, at every combination of the axes that write into it."""
        for section, axes in axes_of(self.data, self.axes, self.allow_plugins).items():
            if section[0] in self._broken or not (section[0] in self.data or axes):
                continue
            found: dict[tuple[Keys, str], list[dict[str, Any]]] = {}
            count = prod(len(self.axes[axis]) for axis in axes)
            for values in self._combinations(axes, count):
                for problem in self._at(section, values):
                    found.setdefault((problem.keys, problem.sentence), []).append(values)
            for (keys, sentence), where in found.items():
                self.problems.append(self._placed(keys, sentence, where, count))

    def _combinations(self, axes: tuple[str, ...], count: int) -> Iterator[dict[str, Any]]:
        """All combinations of the axes' values; where they are too many, each value with the first of the others."""
        if count <= MOST_CHECKED:
            yield from (dict(zip(axes, values, strict=True)) for values in product(*(self.axes[axis] for axis in axes)))
            return
        first = {axis: self.axes[axis][0] for axis in axes}
        yield from ({**first, axis: value} for axis in axes for value in islice(self.axes[axis], MOST_CHECKED))

    def _at(self, section: Section, values: Mapping[str, Any]) -> Iterable[Problem]:
        result = resolve(self.data, section, values, self.allow_plugins)
        if isinstance(result, list):
            return result
        if section == ("source",) and (size := getattr(result, "size", None)):
            self.sizes.setdefault(tuple(size), text_of(unfold(self.data.get("source") or values.get("source"))))
            self.sources.append(result)
        if isinstance(result, SystemSpec):
            tuned = {f"systems.{result.name}.{path}" for path in result.tuned}
            return [
                Problem(("sweep", axis), "a swept field cannot be tuned as well; keep one of the two")
                for axis in values
                if axis in tuned
            ]
        return ()

    def _placed(self, keys: Keys, sentence: str, where: Sequence[Mapping[str, Any]], count: int) -> Problem:
        """A problem where the user wrote its cause: at a value of an axis, or in the section."""
        for axis in sorted(where[0], key=lambda axis: order(split(self.data, axis)), reverse=True):
            places = targets(self.data, axis, self.allow_plugins)
            written = next((place for place in places if keys[: len(place)] == place), None)
            if written is not None:
                value = where[0][axis]
                number = self.axes[axis].index(value)
                index = (number,) if isinstance(self._written(axis), list) else self.names.get(axis, ())[number : number + 1]
                if sum(values[axis] == value for values in where) < count // len(self.axes[axis]):
                    sentence += _at({other: item for other, item in where[0].items() if other != axis})
                return Problem(("sweep", axis, *index, *keys[len(written) :]), sentence)
        if where[0] and len(where) < count:
            sentence += _at(where[0])
        return Problem(keys, sentence)

    def _written(self, axis: str) -> Any:
        return (self.document.data.get("sweep") or {}).get(axis)

    def _layouts(self, scenario: Scenario) -> None:
        """Whether the channel uses of every point hold symbols and the pilots that go with them."""
        seen: set[tuple[Any, ...]] = set()
        for point in scenario.points() if len(scenario) <= MOST_CHECKED else ():
            layout, size = getattr(point.channel, "layout", None), getattr(point.source, "size", None)
            if layout is None or size is None:
                continue
            uses = units.channel_uses(point.bandwidth_ratio, *size)
            if (id(point.channel), uses) in seen:
                continue
            seen.add((id(point.channel), uses))
            try:
                layout(uses)
            except ValueError as error:
                own = {axis: value for axis, value in point.values.items() if axis != "snr_db"}
                self.problems.append(Problem(("channel",), f"{error}{_at(own) if own else ''}"))

    def _noise(self, systems: Mapping[str, Mapping[str, Any]]) -> None:
        """Nothing is drawn against an SNR that it does not meet, nor beside what does."""
        axis_of = {name: self._noise_axis(name) for name in systems}
        own = {name: axis for name, axis in axis_of.items() if axis}
        if not own:
            return
        name, field = next(iter(own.items()))
        kind = f"the noise of system '{name}' is that of its {field}, whatever the SNR"
        instead = f"sweep systems.*.link.{field} and give snr_db one value, which is not met"
        if "snr_db" in self.axes:
            self.problems.append(Problem(("sweep", "snr_db"), f"{kind}; {instead}"))
        elif not self.axes:
            self.problems.append(Problem((), f"{kind}, and where nothing is swept snr_db is the axis; {instead}"))
        for other in axis_of.keys() - own.keys():
            if axis_of[other] is not None and not self._is_silent(other):
                sentence = f"'{other}' meets the scenario's SNR and '{name}' does not; give each a scenario of its own"
                self.problems.append(Problem(("systems", other), sentence))

    def _noise_axis(self, system: str) -> str | None:
        """The field of a system's link that its noise follows, "" where that is the SNR; None where the link is wrong."""
        found = self._description(system, "link")
        return None if found is None else getattr(found, "NOISE_AXIS", "")

    def _is_silent(self, system: str) -> bool:
        return getattr(self._description(system, "transmit"), "SILENT", False)

    def _description(self, system: str, role: str) -> type[BaseModel] | None:
        """The class of one of a system's parts; None where it is wrong, which is said elsewhere."""
        written = self.data["systems"][system].get(role)
        found = None if written is None else find(role, unfold(written), ("systems", system, role), self.allow_plugins)
        return None if found is None or isinstance(found, Problem) else found

    def _labels(self, systems: Mapping[str, Mapping[str, Any]]) -> None:
        """Figures and tables tell systems apart by their labels."""
        first: dict[str, str] = {}
        for name, entry in systems.items():
            label = entry.get("label", name)
            if label in first:
                where = ("systems", name, *(("label",) if "label" in entry else ()))
                self.problems.append(
                    Problem(where, f"'{label}' is what system '{first[label]}' is called as well; give another label")
                )
            first.setdefault(label, name)

    # metrics and figures

    def _metrics(self, written: list[Any]) -> list[BaseModel]:
        found: list[BaseModel] = []
        first: dict[str, int] = {}
        for index, value in enumerate(written):
            result = parse("metric", unfold(value), ("metrics", index), self.allow_plugins)
            if isinstance(result, list):
                self.problems += result
                continue
            found.append(result)
            for column in columns(result):
                if column in first:
                    self.problems.append(Problem(("metrics", index), f"'{column}' is listed twice; keep one"))
                    break
                first[column] = index
            for size in self.sizes:
                if reason := getattr(result, "check", lambda size: None)(size):
                    self.problems.append(Problem(("metrics", index), reason))
            fits = getattr(result, "check_source", lambda source: None)
            reasons = dict.fromkeys(filter(None, map(fits, self.sources)))
            self.problems += [Problem(("metrics", index), reason) for reason in reasons]
        return found

    def _figures(self, figures: Figures, metrics: Sequence[BaseModel]) -> Figures:
        """The figures with what was left out filled in."""
        names = (
            {metric.kind: columns(metric) for metric in metrics}
            | {c: (c,) for m in metrics for c in columns(m)}
            | {r: (r,) for r in RATES}
        )
        shown = figures.curves.metrics
        for index, metric in enumerate(shown):
            if metric not in names and "metrics" not in self._broken:
                at = ("figures", "curves", "metrics", index)
                listed = [*dict.fromkeys(name for name in names if name not in RATES), *RATES]
                self.problems.append(Problem(at, f"'{metric}' is not measured; {allowed(metric, listed)}"))
        axis = figures.curves.axis
        if axis is not None and axis not in self.axes and "sweep" not in self._broken:
            self.problems.append(Problem(("figures", "curves", "axis"), f"'{axis}' is not swept; {allowed(axis, self.axes)}"))
        lines = figures.curves.lines
        if lines != "systems" and (lines not in self.axes or lines == axis) and "sweep" not in self._broken:
            others = ["systems", *(other for other in self.axes if other != axis)]
            self.problems.append(Problem(("figures", "curves", "lines"), f"'{lines}' cannot be the lines; {allowed(lines, others)}"))
        chosen = {name: self._chosen(name, getattr(figures, name)) for name in ("panel", "classes")}
        drawn = tuple(dict.fromkeys(column for metric in shown for column in names.get(metric, ())))
        curves = Curves(
            axis=axis or next((other for other in reversed(self.axes) if other != lines), None),
            lines=lines,
            metrics=drawn or tuple(c for m in metrics for c in columns(m)),
        )
        return Figures(curves=curves, panel=Panel(images=figures.panel.images, **chosen["panel"]), classes=Classes(**chosen["classes"]))

    def _chosen(self, name: str, section: Panel | Classes) -> dict[str, tuple]:
        """The SNRs and the systems of a section of the figures, these as figures call them."""
        swept = self.axes.get("snr_db", (self.data.get("snr_db"),))
        for index, snr_db in enumerate(section.snr_db):
            if snr_db not in swept and "snr_db" not in self._broken | ({"snr_db"} if swept == (None,) else set()):
                at = ("figures", name, "snr_db", index)
                self.problems.append(Problem(at, f"{snr_db:g} was given; expected one of the swept values: {given(list(swept))}"))
        systems = self.data["systems"]
        for index, system in enumerate(section.systems):
            if system not in systems and "systems" not in self._broken:
                at = ("figures", name, "systems", index)
                self.problems.append(Problem(at, f"there is no system '{system}'; {allowed(system, systems)}"))
        labels = tuple(systems[system].get("label", system) for system in section.systems if system in systems)
        return {"snr_db": section.snr_db, "systems": labels}

    def _tuning(self, tuning: Tuning, metrics: Sequence[BaseModel]) -> None:
        measured = [column for metric in metrics for column in columns(metric)]
        if "metrics" in self._broken:
            return
        for index, column in enumerate(tuning.together):
            if column not in measured:
                self.problems.append(Problem(("tuning", "together", index), f"'{column}' is not measured; {allowed(column, measured)}"))

    # the canonical form

    def _canonical(self, file: ScenarioFile, name: str) -> dict[str, Any]:
        fixed = {key: _short(self.data[key]) for key in _SINGLE if key in self.data}
        if "bandwidth_ratio" in fixed:
            fixed["bandwidth_ratio"] = str(ratio(fixed["bandwidth_ratio"], ()))
        if "snr_db" in fixed:
            fixed["snr_db"] = float(fixed["snr_db"])
        sweep = {axis: [_short(str(v) if axis == "bandwidth_ratio" else v) for v in values] for axis, values in self.axes.items()}
        sweep |= {axis: dict(zip(names, sweep[axis], strict=True)) for axis, names in self.names.items() if axis in sweep}
        systems = {key: {part: _short(item) for part, item in entry.items()} for key, entry in self.data["systems"].items()}
        plain = {
            "name": name, "seed": file.seed, **fixed, "sweep": sweep, "systems": systems,
            "metrics": [_short(unfold(metric)) for metric in file.metrics], "repeats": file.repeats,
            "tuning": file.tuning.model_dump(mode="json", exclude_defaults=True),
            "figures": file.figures.model_dump(mode="json", exclude_defaults=True),
            "execution": file.execution.model_dump(mode="json"),
        }  # fmt: skip
        return {key: item for key, item in plain.items() if item or key not in ("sweep", "tuning", "figures")}


def _without_names(data: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, tuple[str, ...]]]:
    """The data with the values of each axis as a list, and the names under which they stood."""
    sweep = data.get("sweep")
    names = {axis: tuple(map(str, items)) for axis, items in sweep.items() if named(items)} if isinstance(sweep, Mapping) else {}
    return {**data, **({"sweep": {**sweep, **{axis: list(sweep[axis].values()) for axis in names}}} if names else {})}, names


def columns(metric: BaseModel) -> tuple[str, ...]:
    """The columns that a metric fills; its kind where its description does not say."""
    asked = metric.quantities() if hasattr(metric, "quantities") else getattr(metric, "COLUMNS", ())
    return tuple(asked) or (metric.kind,)


def _at(values: Mapping[str, Any]) -> str:
    return f" (at {', '.join(f'{axis} = {text_of(value)}' for axis, value in values.items())})"


def _entry(entry: BaseModel) -> dict[str, Any]:
    """A system as plain data, unfolded, without what was left out."""
    values = {key: unfold(getattr(entry, key)) if key in ROLES else getattr(entry, key) for key in type(entry).model_fields}
    default = {key: info.default for key, info in type(entry).model_fields.items()}
    return {key: value for key, value in values.items() if value is not None and (key in ROLES or value != default[key])}


def _short(value: Any) -> Any:
    """A component that is nothing but its kind is written as its name."""
    if isinstance(value, list) and any(isinstance(item, Mapping) and "kind" in item for item in value):
        return [_short(item) for item in value]
    return value["kind"] if isinstance(value, Mapping) and list(value) == ["kind"] else value


def _without_nothing(data: Mapping[str, Any]) -> dict[str, Any]:
    """A key without a value counts as left out, at the top and one level below it."""
    return {
        key: {k: v for k, v in value.items() if v is not None}
        if key in ("sweep", "systems", "tuning", "figures", "execution") and isinstance(value, Mapping)
        else value
        for key, value in data.items()
        if value is not None
    }


__all__ = ["ScenarioError", "check", "from_mapping", "load"]
