"""What is the same and what is not: canonical JSON and its digest."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import PurePath
from typing import Any


def canonical(value: Any) -> str:
    """JSON with sorted keys, fractions as "1/24", floats by repr; equal values give equal text.

    A description stands for its ``identity()``. Raises: TypeError for what JSON cannot say, ValueError
    for a number that is not finite.

    >>> canonical({"rho": Fraction(1, 24), "a": (1, 2.5)})
    '{"a":[1,2.5],"rho":"1/24"}'
    """
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(value: Any) -> str:
    """The first 16 hex digits of SHA-256 over canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} cannot be part of an identity; expected a finite number")
        return value + 0.0  # -0.0 is 0.0
    if isinstance(value, (Fraction, PurePath)):
        return str(value)
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError(f"keys {sorted(map(repr, value))} cannot be part of an identity; expected text")
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((_plain(item) for item in value), key=canonical)
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return [_plain(item) for item in value]
    if hasattr(value, "identity"):
        return _plain(value.identity())
    raise TypeError(f"a {type(value).__name__} cannot be part of an identity; expected numbers, text, lists and mappings")
