"""How far a sweep is, and how long it has to go."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """``done`` of ``total`` rows (an image, once, through one system at one condition)."""

    stage: str
    done: int
    total: int
    elapsed_s: float
    left_s: float | None = None
    failed: int = 0
