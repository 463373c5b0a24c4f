"""What a training of the label-map coder is: packs, shares, steps. Strict like other recipes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import yaml
from pydantic import Field, ValidationError, model_validator

from semcom.scenario import overrides as beside
from semcom.scenario.schema import FolderName, Section
from semcom.scenario.sentences import problems
from semcom.scenario.yaml_file import Dumper, read_file


class Source(Section):
    """Label maps of one kind in the packs."""

    share: float = Field(gt=0.0, description="part of the loss; shares are divided by their sum")
    cuts: int = Field(1, ge=1, description="how often each map is cut, at other heights and mirrored")


class Recipe(Section):
    """One training."""

    name: FolderName = Field(description="the run goes to runs/<name>")
    seed: int = Field(0, ge=0, description="root of every random stream")
    packs: tuple[str, ...] = Field(min_length=1, description="files that `semcom pack` made")
    sources: dict[str, Source] = Field(min_length=1, description="kind of source -> its share; others in the packs are left out")
    hidden: tuple[int, int] = Field((96, 48), description="units of the two hidden layers")
    dropout: float = Field(0.0, ge=0.0, lt=1.0, description="share of hidden units left out at a time; a few hundred maps are soon known")
    steps: int = Field(ge=1, description="weight updates in all")
    cooldown: int = Field(ge=0, description="last steps, over which the learning rate falls to 0; before it is constant")
    warmup: int = Field(60, ge=0, description="first steps, over which the learning rate rises from 0")
    batch_size: int = Field(8192, ge=64, description="pixels an update, over all sizes and sources")
    learning_rate: float = Field(4e-3, gt=0.0, description="AdamW's")
    ema: float = Field(0.995, ge=0.0, lt=1.0, description="decay of the average of the weights, which is what ships")
    checkpoint_every: int = Field(250, ge=1, description="steps between checkpoints")

    @model_validator(mode="after")
    def _in_order(self) -> Recipe:
        if self.warmup + self.cooldown > self.steps:
            raise ValueError(f"warmup {self.warmup} and cooldown {self.cooldown} exceed steps {self.steps}")
        return self

    def text(self) -> str:
        """The recipe as YAML with every default filled in."""
        return yaml.dump(self.model_dump(mode="json"), Dumper=Dumper, sort_keys=False, default_flow_style=None, width=120)

    def identity(self) -> dict:
        """What changes the numbers before the cooldown: a training may be made longer while it has not begun."""
        left_out = {"name", "packs", "steps", "cooldown", "checkpoint_every"}
        return self.model_dump(mode="json", exclude=left_out)

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        rise = min(1.0, (step + 1) / (self.warmup + 1))
        fall = min(1.0, (self.steps - step) / (self.cooldown + 1))
        return self.learning_rate * min(rise, fall)


def load(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe in a YAML file. Raises: ScenarioError with everything that is wrong."""
    document = beside.apply(read_file(path), overrides)
    try:
        return Recipe.model_validate_json(json.dumps(document.data), strict=True)
    except ValidationError as error:
        raise document.error(problems(error, Recipe, document.data)) from error
