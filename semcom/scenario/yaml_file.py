"""Strict YAML: a file becomes plain data that remembers the line of each value.

Numbers are read as YAML 1.2 reads them: ``1e-3`` is a number, ``yes`` and ``on`` are text, ``010`` is
ten. A key that appears twice is an error, as is every tag. Anchors, aliases and ``<<`` merges work.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import yaml

from semcom.errors import ScenarioError

#: where a value stands: keys and list indices from the top
Keys = tuple[str | int, ...]

#: more values than this are an accident (aliases of aliases), not a scenario
MOST_VALUES = 50_000
MOST_LEVELS = 50

_TAG = "tag:yaml.org,2002:"
_CORE = {  # the core schema of YAML 1.2.2, section 10.3.2
    "null": re.compile(r"^(?:~|null|Null|NULL|)$"),
    "bool": re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"),
    "int": re.compile(r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$"),
    "float": re.compile(
        r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    ),
}


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: ClassVar[dict] = {}


class Dumper(yaml.SafeDumper):
    """Writes YAML that this module reads back as it was."""

    yaml_implicit_resolvers: ClassVar[dict] = {}

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _type, _pattern in _CORE.items():
    _Loader.add_implicit_resolver(_TAG + _type, _pattern, None)
    Dumper.add_implicit_resolver(_TAG + _type, _pattern, None)
for _class in (_Loader, Dumper):
    _class.add_implicit_resolver(_TAG + "merge", re.compile(r"^(?:<<)$"), ["<"])


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where in the data, and what is wrong with it."""

    keys: Keys
    sentence: str


@dataclass
class Document:
    """Plain data, and where each of its values was written."""

    name: str
    data: Any
    lines: Mapping[Keys, int] = field(default_factory=dict)
    #: values that were given beside the file: their keys, and how they were given
    overrides: list[tuple[Keys, str]] = field(default_factory=list)

    def where(self, keys: Keys) -> str:
        """ "FILE:LINE", or the override that wrote the value."""
        for written, text in reversed(self.overrides):
            # a new kind drops its component's other fields, so it answers for the whole component
            stem = written[:-1] if written[-1] == "kind" else written
            if keys[: len(stem)] == stem:
                return text
        for length in range(len(keys), -1, -1):
            if keys[:length] in self.lines:
                return f"{self.name}:{self.lines[keys[:length]]}"
        return self.name

    def error(self, problems: Iterable[Problem]) -> ScenarioError:
        """One line a problem, in the order of the file, each said once."""
        ordered = sorted(problems, key=lambda problem: self._line(problem.keys))
        return ScenarioError("\n".join(dict.fromkeys(self._sentence(problem) for problem in ordered)))

    def _sentence(self, problem: Problem) -> str:
        at = [self.where(problem.keys), dotted(problem.keys)]
        return ": ".join([part for part in at if part] + [problem.sentence])

    def _line(self, keys: Keys) -> int:
        return next((self.lines[keys[:n]] for n in range(len(keys), -1, -1) if keys[:n] in self.lines), 0)


def dotted(keys: Iterable[str | int]) -> str:
    """How a user writes a place.

    >>> dotted(("metrics", 1, "kind"))
    'metrics[1].kind'
    """
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)
    return text.removeprefix(".")


def read_file(path: str | Path) -> Document:
    """The document in ``path``; ScenarioError where there is none or it is not strict YAML."""
    try:
        raw = Path(path).read_bytes()
    except FileNotFoundError:
        raise ScenarioError(f"{path}: there is no such file{_neighbours(Path(path))}") from None
    except (OSError, ValueError) as error:
        raise ScenarioError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ScenarioError(f"{path}:{line}: byte 0x{raw[error.start]:02x} is not UTF-8; save the file as UTF-8 text") from None
    return read_text(text, str(path))


def read_text(text: str, name: str) -> Document:
    """The document in ``text``, which errors call ``name``."""
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ScenarioError(f"{name}:{line}: character {error.character!r} is not allowed in YAML") from None
    except yaml.MarkedYAMLError as error:
        raise ScenarioError(_syntax(error, name)) from None
    except RecursionError:
        raise ScenarioError(f"{name}: is nested too deeply to be a scenario") from None
    if root is None:
        return Document(name, None, {(): 1})
    reader = _Reader()
    data = reader.value(root, ())
    document = Document(name, data, reader.lines)
    if reader.problems:
        raise document.error(reader.problems)
    return document


def _neighbours(path: Path) -> str:
    """The scenario files that do stand where ``path`` was looked for."""
    if not path.parent.is_dir():
        return f" (nor a folder '{path.parent}')"
    names = sorted(other.name for other in path.parent.glob("*.y*ml"))
    return f"; '{path.parent}' holds {', '.join(names)}" if names else ""


def _syntax(error: yaml.MarkedYAMLError, name: str) -> str:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    problem = str(error.problem or error.context or "is not YAML")
    if "'\\t'" in problem:
        problem = "a tab stands where YAML allows only spaces; indent with spaces"
    elif "single document" in str(error.context):
        problem = "a second document begins; a scenario file holds one"
    elif "mapping values are not allowed" in problem:
        problem = "a ':' stands where no key can be; check the indentation, and put text that holds ': ' in quotes"
    else:
        problem = f"this is not YAML: {problem}"
    return f"{name}:{line}: {problem}"


class _Reader:
    """Turns nodes into plain data, noting lines and problems."""

    def __init__(self) -> None:
        self.lines: dict[Keys, int] = {}
        self.problems: list[Problem] = []
        self._above: list[yaml.Node] = []
        self._count = 0

    def value(self, node: yaml.Node, keys: Keys) -> Any:
        self.lines.setdefault(keys, node.start_mark.line + 1)
        self._count += 1
        if any(node is above for above in self._above):
            return self._problem(keys, "an alias stands inside the value that it repeats")
        if self._count > MOST_VALUES:
            raise ScenarioError(f"the file unfolds to more than {MOST_VALUES} values; check its aliases")
        if len(self._above) >= MOST_LEVELS:
            return self._problem(keys[:1], f"values are nested more than {MOST_LEVELS} levels deep")
        self._above.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, keys)
            if isinstance(node, yaml.SequenceNode):
                return self._sequence(node, keys)
            return self._scalar(node, keys)
        finally:
            self._above.pop()

    def _mapping(self, node: yaml.MappingNode, keys: Keys) -> dict[str, Any]:
        if node.tag != _TAG + "map":
            return self._tag(node, keys)
        result: dict[str, Any] = {}
        first: dict[str, int] = {}
        for key_node, item in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem(keys, f"line {line} has a list or a mapping as a key; keys are text")
            elif key_node.tag == _TAG + "merge":
                for name, merged in self._merged(item, keys).items():
                    result.setdefault(name, merged)
            elif key_node.value in first:
                there = first[key_node.value]
                self.lines[(*keys, key_node.value)] = line
                self._problem((*keys, key_node.value), f"this key appears twice; the first one is in line {there}")
            elif not key_node.value:
                self._problem(keys, f"line {line} has an empty key; write a name before the ':'")
            else:
                first[key_node.value] = line
                self.lines[(*keys, key_node.value)] = line
                result[key_node.value] = self.value(item, (*keys, key_node.value))
        return result

    def _merged(self, node: yaml.Node, keys: Keys) -> dict[str, Any]:
        """What ``<<`` brings in; of several, the first wins."""
        result: dict[str, Any] = {}
        for item in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if not isinstance(item, yaml.MappingNode):
                self._problem((*keys, "<<"), "'<<' takes an alias of a mapping")
            else:
                for name, merged in self.value(item, keys).items():
                    result.setdefault(name, merged)
        return result

    def _sequence(self, node: yaml.SequenceNode, keys: Keys) -> list[Any]:
        if node.tag != _TAG + "seq":
            return self._tag(node, keys)
        return [self.value(item, (*keys, index)) for index, item in enumerate(node.value)]

    def _scalar(self, node: yaml.ScalarNode, keys: Keys) -> Any:
        kind, text = node.tag.removeprefix(_TAG), node.value
        if kind in ("str", "merge"):
            return text
        if kind not in _CORE or not _CORE[kind].match(text):
            return self._tag(node, keys)
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        return self._number(kind, text, keys)

    def _number(self, kind: str, text: str, keys: Keys) -> int | float | None:
        if len(text) > 100:
            return self._problem(keys, f"a number of {len(text)} characters was given; write fewer digits")
        if kind == "int":
            return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
        if text.lower() == ".nan":
            return self._problem(keys, f"{text} was given, which is not a number; write a number")
        if text.lower().endswith(".inf"):
            return -math.inf if text[0] == "-" else math.inf
        number = float(text)
        return number if math.isfinite(number) else self._problem(keys, f"{text} was given, which is too large for a number")

    def _tag(self, node: yaml.Node, keys: Keys) -> Any:
        tag = node.tag.replace(_TAG, "!!")
        return self._problem(keys, f"the tag {tag} does not belong here; a scenario is plain YAML without tags") or {}

    def _problem(self, keys: Keys, sentence: str) -> None:
        self.problems.append(Problem(keys, sentence))
