"""What a scenario file may say, top level and sections. Components are checked by their own descriptions."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from semcom.errors import allowed
from semcom.scenario.axes import Grid


def _folder_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 ._+-]*", name) or len(name) > 100 or name.endswith((".", " ")):
        raise ValueError("expected a name for a folder: letters, digits, spaces and . _ + -, starting with a letter or digit")
    return name


def _shown_name(name: str) -> str:
    if not name.strip() or not name.isprintable() or len(name) > 100:
        raise ValueError("expected a name of 1 to 100 printable characters")
    return name


def _device(name: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda(:[0-9]+)?", name):
        raise ValueError(allowed(name, ["auto", "cpu", "cuda", "cuda:0"]))
    return name


ShownName = Annotated[str, AfterValidator(_shown_name)]
FolderName = Annotated[str, AfterValidator(_folder_name)]
Device = Annotated[str, AfterValidator(_device)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Curves(Section):
    """Curves of metrics over one axis."""

    axis: str | None = Field(None, description="the horizontal axis, one of the sweep's; snr_db where it is swept")
    lines: str = Field("systems", description="what the lines are: systems, or another axis of the sweep; each system then has a panel")
    metrics: tuple[str, ...] = Field((), description="metrics to draw, one figure each; all if left out")


class Panel(Section):
    """Pictures: rows are SNRs (of a single SNR, values of the axis of the curves), columns are systems, the original comes first."""

    images: tuple[str, ...] = Field((), description="names of images of the source; the first one if left out")
    snr_db: tuple[float, ...] = Field((), description="rows, dB, of the swept values; a few of them if left out")
    systems: tuple[ShownName, ...] = Field((), description="columns, by the systems' names; all but references if left out")


class Classes(Section):
    """IoU of each class as bars, where semantic metrics are measured."""

    snr_db: tuple[float, ...] = Field((), description="one row of bars each, dB, of the swept values; two of them if left out")
    systems: tuple[ShownName, ...] = Field((), description="the systems whose bars are drawn, by name; all but references if left out")


class Figures(Section):
    """What is drawn. Changes no number."""

    curves: Curves = Field(Curves(), description="metrics over one axis")
    panel: Panel = Field(Panel(), description="reconstructed pictures side by side, with their label maps where there are any")
    classes: Classes = Field(Classes(), description="IoU of each class as bars")


class Tuning(Section):
    """How free settings (`auto`, `best_of`) are chosen: on images of the source that are never reported."""

    together: tuple[str, ...] = Field(
        (),
        description="metrics by whose product (1 over those where lower is better) settings are chosen once for all metrics, so that "
        "one reconstruction gives them all; if left out each metric has settings of its own",
    )
    images: int | None = Field(None, ge=1, description="tuning images, evenly spread over the source's; all if left out")
    repeats: int = Field(8, ge=1, description="transmissions of each where the outcome has to be simulated")


class Execution(Section):
    """How it is computed. Changes no number."""

    device: Device = Field("auto", description="auto (the GPU if there is one), cpu, cuda, cuda:1, ...")
    batch_size: int = Field(32, ge=1, description="images that are sent together")


class SystemEntry(Section):
    """One curve: a transmitter, a link and a receiver."""

    transmit: Any = Field(None, description="image -> message")
    link: Any = Field(None, description="message -> message, over the channel")
    receive: Any = Field(None, description="message -> image")
    label: ShownName | None = Field(None, description="the name in figures and tables; the system's key if left out")
    role: Literal["system", "reference"] = Field("system", description="a reference is drawn as a grey broken line")


class ScenarioFile(Section):
    """One comparison: several systems over the same channel, at the same cost in channel uses, with the same noise."""

    name: FolderName | None = Field(
        None, description="results go to results/<name>; the file's name if left out"
    )
    seed: int = Field(0, ge=0, description="root of every random stream")
    source: Any = Field(None, description="images in")
    bandwidth_ratio: Any = Field(None, description="complex channel uses an image over its 3*H*W numbers: 1/24 or 0.05")
    channel: Any = Field(None, description="the radio channel between all transmitters and receivers")
    snr_db: Any = Field(None, description="average Es/N0 at the receiver, dB; give it here or sweep it")
    sweep: dict[str, list[Any] | Grid | None] = Field(
        {}, description="values of any field by its path: a list, start, stop and step, or components under names; several axes make a grid"
    )
    systems: dict[ShownName, SystemEntry | None] = Field({}, description="the systems that are compared, by name")
    metrics: list[Any] = Field([], description="what is measured of every reconstruction")
    repeats: int = Field(1, ge=1, description="transmissions of each image at each point, each with its own noise and fading")
    tuning: Tuning = Field(Tuning(), description="how free settings are chosen")
    figures: Figures = Field(Figures(), description="what is drawn")
    execution: Execution = Field(Execution(), description="how it is computed; changes no number")
