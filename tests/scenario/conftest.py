"""A small scenario of real components, and components from outside the package."""

import sys
import textwrap

import pytest

from semcom.scenario import load

GOOD = """\
name: good
source: photos
bandwidth_ratio: 1/24
channel: awgn
sweep:
  snr_db: [0, 10]
systems:
  codec:
    transmit: {kind: image_codec, codec: webp}
    link: {kind: digital, mcs: qpsk-1/2}
    receive: image_codec
metrics: [psnr]
"""

PLUGIN = '''
from fractions import Fraction
from typing import ClassVar, Literal
from pydantic import BaseModel, Field, model_validator
from semcom.component import Component

class Waves(Component):
    """Makes real numbers.

    Example::

        transmit: {kind: waves, levels: 3}
    """
    CARRIES: ClassVar[frozenset[str]] = frozenset({"reals"})
    kind: Literal["waves"] = "waves"
    levels: int = Field(2, ge=1, description="levels, count")
    share: Fraction = Field(Fraction(1, 2), description="share of power")
    weights: tuple[float, ...] = Field((1.0,), description="weights, ratio")
    shape: Literal["sine", "square"] = Field("sine", description="form of a wave")
    limit: float | Literal["none"] = Field("none", description="limit, dB")

    @classmethod
    def choices(cls, field):
        return (1, 2, 4) if field == "levels" else ()

    @model_validator(mode="after")
    def _fits(self):
        if self.shape == "square" and self.levels > 2:
            raise ValueError(f"a square wave has at most 2 levels, {self.levels} were given")
        return self

    def build(self, context): ...

class Ears(Component):
    """Hears waves."""
    TAKES: ClassVar[frozenset[str]] = frozenset({"waves"})
    kind: Literal["ears"] = "ears"

    def build(self, context): ...

class Louder(Waves):
    """Makes more of them."""
    kind: Literal["louder"] = "louder"

class NotOne:
    pass
'''


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """A module named ``outside`` with components."""
    (tmp_path / "outside.py").write_text(textwrap.dedent(PLUGIN))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "outside", raising=False)
    yield "outside"
    sys.modules.pop("outside", None)


@pytest.fixture
def scenario(tmp_path):
    """Loads text as the file ``my.yaml``; with ``old`` and ``new``, the good scenario with a replacement."""

    def _load(text=None, *, replace=(), overrides=(), allow_plugins=False):
        text = GOOD if text is None else text
        for old, new in replace:
            assert old in text, f"{old!r} is not in the scenario"
            text = text.replace(old, new)
        path = tmp_path / "my.yaml"
        path.write_text(text)
        return load(path, overrides, allow_plugins)

    return _load
