"""Recipes: what is trained, on what, how. Strict like scenario files, and read by the same reader."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field, ValidationError, model_validator

from semcom import registry
from semcom.component import Component
from semcom.errors import allowed
from semcom.scenario import overrides as beside
from semcom.scenario.components import parse, unfold
from semcom.scenario.schema import Device, FolderName, Section
from semcom.scenario.sentences import given, problems
from semcom.scenario.yaml_file import Document, Dumper, Problem, read_file


def _between(scale: tuple[float, float]) -> tuple[float, float]:
    if not 0.0 < scale[0] <= scale[1] <= 1.0:
        raise ValueError("expected [smallest, largest] with 0 < smallest <= largest <= 1")
    return scale


def _in_eights(size: tuple[int, int]) -> tuple[int, int]:
    if min(size) < 16 or any(side % 8 for side in size):
        raise ValueError("expected [H, W] of at least 16 pixels each, multiples of 8")
    return size


class Data(Section):
    """Which pictures, and what is done to them."""

    packs: tuple[str, ...] = Field(min_length=1, description="files that `semcom pack` made")
    size: Annotated[tuple[int, int], AfterValidator(_in_eights)] = Field(
        (128, 256), description="(H, W) of the training crops, pixels"
    )
    scale: Annotated[tuple[float, float], AfterValidator(_between)] = Field(
        (0.6, 1.0), description="side of a random crop, of the largest crop of that shape: smallest, largest"
    )
    flip: bool = Field(True, description="mirror half of the pictures left to right")
    colour: float = Field(0.2, ge=0.0, lt=1.0, description="brightness, contrast and saturation times 1 +- this")
    blur: float = Field(0.0, ge=0.0, description="half of the crops are blurred by a Gaussian of up to this deviation, pixels")
    noise: float = Field(0.0, ge=0.0, lt=1.0, description="half of the crops get white noise of up to this deviation, of 1")
    times: dict[str, Annotated[int, Field(ge=0)]] = Field(
        {}, description="source -> how often an epoch shows each of its pictures, such as {camvid: 3}; once if not named"
    )


class Optimise(Section):
    """How the weights are found."""

    steps: int = Field(ge=1, description="weight updates in all")
    batch_size: int = Field(16, ge=1, description="pictures an update, over all processes")
    learning_rate: float = Field(3e-4, gt=0.0, description="AdamW's, after the warm-up; falls to 0 as a half cosine")
    warmup: int = Field(200, ge=0, description="steps over which the learning rate rises from 0")
    weight_decay: float = Field(0.0, ge=0.0, description="AdamW's, decoupled")
    betas: tuple[float, float] = Field((0.9, 0.99), description="AdamW's averages of gradient and squared gradient")
    clip: float = Field(1.0, gt=0.0, description="largest norm of the gradient over all weights of a network")
    ema: float = Field(0.999, ge=0.0, lt=1.0, description="decay of the average of the weights, which is what ships")
    precision: Literal["float32", "bf16"] = Field("bf16", description="arithmetic of the networks; weights are float32")


class Keep(Section):
    """What is written while training. Changes no number."""

    checkpoint_every: int = Field(1000, ge=1, description="steps between checkpoints")
    checkpoints: int = Field(2, ge=1, description="checkpoints that are kept, the newest")
    samples_every: int = Field(1000, ge=1, description="steps between sample pictures")
    weights: Literal["half", "int8"] = Field("half", description="half precision, or 8 bits with a scale an output channel")


class Execution(Section):
    """How it is computed. Changes no number beyond rounding."""

    device: Device = Field("auto", description="auto (the GPU if there is one), cpu, cuda, cuda:1, ...")
    workers: int = Field(0, ge=0, description="processes that prepare batches ahead")
    threads: int | None = Field(None, ge=1, description="CPU threads of torch; all cores if left out")


class RecipeFile(Section):
    """One training: a task, its data, its optimiser."""

    name: FolderName = Field(description="the run goes to runs/<name>")
    seed: int = Field(0, ge=0, description="root of every random stream")
    data: Data = Field(description="which pictures, and what is done to them")
    task: Any = Field(description="what is trained")
    optimise: Optimise = Field(description="how the weights are found")
    keep: Keep = Field(Keep(), description="what is written while training")
    execution: Execution = Field(Execution(), description="how it is computed")

    @model_validator(mode="after")
    def _warm_before_the_end(self) -> RecipeFile:
        if self.optimise.warmup >= self.optimise.steps:
            raise ValueError(
                f"optimise.warmup is {self.optimise.warmup} of {self.optimise.steps} steps; it must end before the training does"
            )
        return self


class Recipe(RecipeFile):
    """A checked recipe."""

    task: Component

    def plain(self) -> dict[str, Any]:
        """The recipe as a file would say it, with every default filled in."""
        return {**self.model_dump(mode="json", exclude={"task"}), "task": self.task.model_dump(mode="json")}

    def text(self) -> str:
        """The recipe as YAML that `load` reads back."""
        return yaml.dump(self.plain(), Dumper=Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)

    def identity(self) -> dict[str, Any]:
        """What changes the numbers: neither where and how it is computed nor what is written on the way."""
        plain = {key: value for key, value in self.plain().items() if key not in ("name", "keep", "execution")}
        return {**plain, "data": {**plain["data"], "packs": len(self.data.packs)}, "task": self.task.identity()}

    def smoke(self, packs: Sequence[str]) -> Recipe:
        """The same at toy size: seconds on one core, on the given packs. Shows that it runs, not that it learns."""
        optimise = self.optimise.model_copy(update={"steps": 3, "batch_size": 2, "warmup": 1})
        keep = self.keep.model_copy(update={"checkpoint_every": 2, "samples_every": 3})
        data = self.data.model_copy(update={"size": (32, 64), "packs": tuple(packs), "times": {}})
        execution = self.execution.model_copy(update={"workers": 0})
        changes = {"name": f"{self.name}-smoke", "data": data, "optimise": optimise, "keep": keep, "execution": execution}
        return self.model_copy(update={**changes, "task": self.task.smoke()})


def load(path: str | Path, overrides: Sequence[str] = (), allow_plugins: bool = False) -> Recipe:
    """The recipe in a YAML file, with ``overrides`` such as "optimise.steps=1000" in place.

    Raises: ScenarioError with one line for everything that is wrong: file, line, path, what was given, what is
    allowed and the nearest name.
    """
    return check(beside.apply(read_file(path), overrides), allow_plugins)


def check(document: Document, allow_plugins: bool = False) -> Recipe:
    """The recipe that a document describes. Raises: ScenarioError."""
    raw = document.data
    if not isinstance(raw, Mapping):
        what = "the file is empty" if raw is None else f"{given(raw)} was given"
        raise document.error([Problem((), f"{what}; expected a mapping with {', '.join(RecipeFile.model_fields)}")])
    found: list[Problem] = []
    try:
        file = RecipeFile.model_validate_json(json.dumps(raw), strict=True)
    except ValidationError as error:
        found += problems(error, RecipeFile, raw)
    task: Any = None
    if raw.get("task") is None:
        found += [Problem(("task",), f"nothing was given; {allowed('', registry.kinds('task'))}")] if "task" in raw else []
    else:
        task = parse("task", unfold(raw["task"]), ("task",), allow_plugins)
        found += task if isinstance(task, list) else []
    if found:
        raise document.error(found)
    return Recipe.model_construct(**{key: getattr(file, key) for key in RecipeFile.model_fields if key != "task"}, task=task)
