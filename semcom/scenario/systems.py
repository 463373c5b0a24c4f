"""A system as a scenario describes it: some of its fields may be left free, to be tuned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from math import prod
from typing import Any

from pydantic import BaseModel

from semcom.errors import ScenarioError, allowed
from semcom.scenario.components import parse, tuned
from semcom.scenario.fit import system_problems
from semcom.scenario.sentences import given
from semcom.scenario.yaml_file import Keys, Problem, dotted

ROLES = ("transmit", "link", "receive")

#: combinations of candidates that are checked before a run
MOST_CHECKED = 512


@dataclass(frozen=True)
class ConcreteSystem:
    """A system with nothing left free: three descriptions."""

    name: str
    transmit: BaseModel
    link: BaseModel
    receive: BaseModel

    def identity(self) -> dict[str, Any]:
        """What changes its numbers; its name does not."""
        return {role: getattr(self, role).identity() for role in ROLES}


@dataclass(frozen=True)
class SystemSpec:
    """A named transmitter, link and receiver. ``tuned`` maps the path of each free field to its candidates."""

    name: str
    parts: Mapping[str, Mapping[str, Any]]  # role -> the unfolded mapping of the file
    tuned: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    label: str = ""
    role: str = "system"  # system | reference
    allow_plugins: bool = False
    _keys: Mapping[str, Keys] = field(default_factory=dict, repr=False)

    def fix(self, settings: Mapping[str, Any]) -> SystemSpec:
        """This system with some of its free fields set. Raises: ScenarioError for another path or value."""
        parts = dict(self.parts)
        for path, value in settings.items():
            if path not in self.tuned:
                raise ScenarioError(f"systems.{self.name}.{path}: this field is not free; {allowed(path, self.tuned)}")
            if value not in self.tuned[path]:
                raise ScenarioError(
                    f"systems.{self.name}.{path}: {given(value)} was given; {allowed(value, map(str, self.tuned[path]))}"
                )
            role, *inner = self._keys[path]
            parts[role] = _put(parts[role], inner, value)
        return replace(self, parts=parts, tuned={path: values for path, values in self.tuned.items() if path not in settings})

    def resolve(self, settings: Mapping[str, Any] | None = None) -> ConcreteSystem:
        """The system with every free field set. Raises: ScenarioError where a setting is missing or does not fit."""
        fixed = self.fix(settings or {})
        if fixed.tuned:
            raise ScenarioError(f"systems.{self.name}: no setting for {', '.join(fixed.tuned)}; give one of its candidates")
        result = fixed._describe()
        if isinstance(result, list):
            raise ScenarioError("; ".join(f"{dotted(problem.keys)}: {problem.sentence}" for problem in result))
        return result

    def identity(self) -> dict[str, Any]:
        """What changes its numbers before anything is tuned: the system with each candidate, in their order."""
        first = {path: candidates[0] for path, candidates in self.tuned.items()}
        each = {path: [self.resolve({**first, path: one}).identity() for one in self.tuned[path]] for path in self.tuned}
        plain = self.resolve(first)
        chosen_by = {role: getattr(plain, role).tuning_identity() for role in ROLES}
        return {"first": plain.identity(), "tuned": [[path, each[path]] for path in self.tuned], "chosen_by": chosen_by}

    def _describe(self) -> ConcreteSystem | list[Problem]:
        at = ("systems", self.name)
        found = {role: parse(role, self.parts[role], (*at, role), self.allow_plugins) for role in ROLES}
        wrong = [problem for result in found.values() if isinstance(result, list) for problem in result]
        return wrong or system_problems(**found, at=at) or ConcreteSystem(self.name, **found)


def read_system(name: str, parts: Mapping[str, Any], label: str, role: str, allow_plugins: bool) -> SystemSpec | list[Problem]:
    """A system whose every candidate is valid, or what is wrong with it."""
    at = ("systems", name)
    missing = [
        Problem(at, f"'{part}' is missing; a system has transmit, link and receive") for part in ROLES if parts.get(part) is None
    ]
    free: dict[str, tuple[Any, ...]] = {}
    keys: dict[str, Keys] = {}
    wrong: list[Problem] = list(missing)
    for part in ROLES:
        for inner, candidates in tuned(part, parts.get(part), (*at, part), allow_plugins):
            if isinstance(candidates, Problem):
                wrong.append(candidates)
            else:
                path = ".".join((part, *map(str, inner)))
                free[path], keys[path] = candidates, (part, *inner)
    if wrong:
        return wrong
    spec = SystemSpec(name, {part: parts[part] for part in ROLES}, free, label, role, allow_plugins, keys)
    return _candidate_problems(spec) or spec


def _candidate_problems(spec: SystemSpec) -> list[Problem]:
    """What is wrong with any candidate; for few candidates, with any combination of them."""
    first = {path: candidates[0] for path, candidates in spec.tuned.items()}
    choices = [{**first, path: candidate} for path, candidates in spec.tuned.items() for candidate in candidates] or [{}]
    if prod(map(len, spec.tuned.values())) <= MOST_CHECKED:
        choices += [dict(zip(spec.tuned, values, strict=True)) for values in product(*spec.tuned.values())]
    found: dict[tuple[Keys, str], Problem] = {}
    for choice in choices:
        result = spec.fix(choice)._describe()
        for problem in result if isinstance(result, list) else ():
            found.setdefault((problem.keys, problem.sentence), Problem(_candidate(spec, choice, problem.keys), problem.sentence))
    return list(found.values())


def _candidate(spec: SystemSpec, choice: Mapping[str, Any], keys: Keys) -> Keys:
    """Where in the file the candidate stands that ``keys`` complain about."""
    for path, (role, *inner) in spec._keys.items():
        place = ("systems", spec.name, role, *inner)
        written = _get(spec.parts[role], inner)
        if keys[: len(place)] == place and isinstance(written, Mapping):
            return (*place, "best_of", written["best_of"].index(choice[path]), *keys[len(place) :])
    return keys


def _get(value: Any, keys: list) -> Any:
    return _get(value[keys[0]], keys[1:]) if keys else value


def _put(value: Mapping[str, Any], keys: list, item: Any) -> dict[str, Any]:
    head, *rest = keys
    return {**value, head: _put(value[head], rest, item) if rest else item}
