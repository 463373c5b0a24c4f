"""Which curves a system stands for: itself and, where it chooses between named transmitters, each of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Curve:
    name: str
    role: str  # system | reference | member
    spec: Any


def curves_of(specs: Sequence[Any]) -> Iterator[Curve]:
    """Every system, followed by the members of its envelope.

    A transmitter's field that is tuned over names (the codec) makes one member a name, drawn as a thin
    line: the same system with that choice fixed and everything else still tuned.
    """
    for spec in specs:
        name = spec.label or spec.name
        yield Curve(name, spec.role, spec)
        for path, candidates in spec.tuned.items() if spec.role == "system" else ():
            if path.startswith("transmit.") and all(isinstance(candidate, str) for candidate in candidates):
                for candidate in candidates:
                    yield Curve(f"{name}: {candidate}", "member", spec.fix({path: candidate}))
