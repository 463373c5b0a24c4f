"""A channel as a drawing in text: what a burst passes, stage by stage, what that costs and what is assumed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import BaseModel

from semcom.scenario.sentences import given

_SIDES = {"hardware": ("hardware of the transmitter", "hardware of the receiver")}


def draw_channel(channel: BaseModel, uses: int | None = None) -> list[str]:
    """Lines of text. With ``uses``, how so many granted channel uses hold symbols, pilots and the rest.

    Raises: ValueError with one sentence where ``uses`` are too few.
    """
    stages: Sequence[BaseModel] = getattr(channel, "stages", (channel,))
    width = max(len(stage.kind) for stage in stages)
    lines = ["symbols of the link"]
    for stage, role in zip(stages, _roles(stages), strict=True):
        fields = ", ".join(f"{name} {given(value).strip(chr(39))}" for name, value in _shown(stage))
        lines += ["  |", f"  {stage.kind:<{width}}  {role}{': ' if fields else ''}{fields}"]
    lines += ["  |", "symbols as they arrived, unbiased, each with its noise level"]
    if uses is not None:
        lines.append(f"{uses} channel uses: {shares(channel, uses)}")
    assumed = [item for stage in stages for item in getattr(stage, "assumed", tuple)()]
    return [*lines, *(f"free: {item}" for item in dict.fromkeys(assumed))]


def _roles(stages: Sequence[BaseModel]) -> Iterator[str]:
    behind = False
    for stage in stages:
        name = getattr(stage, "STAGE", "propagation")
        yield _SIDES[name][behind] if name in _SIDES else name
        behind |= name == "propagation"


def _shown(stage: BaseModel) -> Iterator[tuple[str, object]]:
    """Its parameters as they are, those apart that are left out and mean nothing."""
    for name, value in stage.model_dump(mode="json").items():
        if name != "kind" and value is not None:
            yield name, value


def shares(channel: BaseModel, uses: int) -> str:
    """What ``uses`` granted channel uses hold: symbols, and what is charged beside them. Raises: ValueError for too few."""
    if not hasattr(channel, "layout"):
        return f"{uses} symbols"
    layout = channel.layout(uses)
    streams = f" (of {len(layout.data)} elements, {layout.streams} streams each)" if layout.streams > 1 else ""
    charged = [f"{count} {purpose}" for purpose, count in layout.charged.items() if count]
    return ", ".join([f"{layout.symbols} symbols{streams}", *charged])
