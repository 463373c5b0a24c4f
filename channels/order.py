"""Where in a chain a stage may stand."""

from __future__ import annotations

from collections.abc import Sequence

from channels.base import ChannelDescription


def _is_before_propagation(stage: ChannelDescription, stages: Sequence[ChannelDescription]) -> bool:
    place = next(i for i, other in enumerate(stages) if other is stage)
    return any(other.STAGE == "propagation" for other in stages[place + 1 :])


def before_propagation(stage: ChannelDescription, stages: Sequence[ChannelDescription], what: str) -> str | None:
    """None, or why ``what`` cannot stand behind the propagation."""
    if _is_before_propagation(stage, stages):
        return None
    return f"'{stage.kind}' is {what} and stands behind the propagation; put it in front of it"


def behind_propagation(stage: ChannelDescription, stages: Sequence[ChannelDescription], what: str) -> str | None:
    """None, or why ``what`` cannot stand in front of the propagation."""
    if not _is_before_propagation(stage, stages):
        return None
    return f"'{stage.kind}' is {what} and stands in front of the propagation; put it behind it"
