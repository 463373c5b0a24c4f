"""The values of a sweep's axes: lists, or start, stop and step in exact decimals."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

MOST_POINTS = 100_000


def exact(value: Any) -> Fraction:
    """The number as it was written: 0.1 is 1/10, "1/24" is 1/24. Raises: ValueError for anything else.

    >>> exact(0.1), exact("1/24")
    (Fraction(1, 10), Fraction(1, 24))
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Fraction)) or len(str(value)) > 100:
        raise ValueError("expected a number or a fraction such as 1/24")
    try:
        return Fraction(str(value).replace(" ", ""))
    except (ValueError, ZeroDivisionError):
        raise ValueError("expected a number or a fraction such as 1/24") from None


def _as_written(value: Any) -> Any:
    exact(value)
    return value


Number = Annotated[Any, AfterValidator(_as_written), WithJsonSchema({"type": ["number", "string"]})]


class Grid(BaseModel):
    """Evenly spaced values: start, start + step, ... up to stop, which is one of them where the steps meet it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: Number = Field(description="first value")
    stop: Number = Field(description="no value lies beyond it")
    step: Number = Field(description="distance of neighbouring values; negative where stop is below start")

    def values(self) -> tuple[Fraction, ...]:
        """Raises: ValueError where the step leads nowhere or the values are too many."""
        start, stop, step = exact(self.start), exact(self.stop), exact(self.step)
        if step == 0:
            raise ValueError("step 0 never arrives; give a step above or below 0")
        steps = (stop - start) // step
        if steps < 0:
            raise ValueError(f"step {self.step} leads away from stop {self.stop} (start {self.start}); change its sign")
        if steps >= MOST_POINTS:
            raise ValueError(f"{steps + 1} values were asked for; allowed: at most {MOST_POINTS}; give a larger step")
        return tuple(start + index * step for index in range(steps + 1))

    def convert(self) -> Callable[[Fraction], Any]:
        """The type of the values: whole numbers or fractions where they were written so, else floats."""
        written = (self.start, self.stop, self.step)
        if all(isinstance(value, int) for value in written):
            return int
        return str if any(isinstance(value, str) for value in written) else float


def named(written: Any) -> bool:
    """Whether the values of an axis stand under names: a mapping to components or lists of stages, and no `Grid`."""
    is_mapping = isinstance(written, Mapping) and written and not set(written) & set(Grid.model_fields)
    return bool(is_mapping) and all(isinstance(value, (str, Mapping, list)) for value in written.values())


def repeated(values: Sequence[Any]) -> Any | None:
    """The first value that stands in ``values`` twice; None where all differ."""
    seen: set[str] = set()
    for value in values:
        text = json.dumps(value, sort_keys=True, default=str)
        if text in seen:
            return value
        seen.add(text)
    return None
