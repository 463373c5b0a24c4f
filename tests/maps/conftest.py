"""A segmenter that needs no weights, and street scenes that are few and small."""

import pytest
import torch

from semcom.models import segmenter
from semcom.protocols import Context
from semcom.source import streets


class Shades:
    """A pixel's class is how red it is: no network, but a map of eleven classes of every picture."""

    def labels(self, pixels):
        return (pixels[:, 0] * 11).floor().clamp(max=10).to(torch.int64)


@pytest.fixture
def shades(monkeypatch):
    """`segmenter: shades` in every description."""
    monkeypatch.setattr(segmenter, "named", lambda name, device="cpu": Shades())
    monkeypatch.setattr(segmenter, "missing", lambda name: None)
    monkeypatch.setattr(segmenter, "identity", lambda name: f"digest of {name}")
    return Shades()


@pytest.fixture(scope="session")
def town():
    """A source of scenes of 32x64, three reported and six for training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streets, "TRAINING_SCENES", 6)
        patch.setattr(streets, "PRIOR_SCENES", 3)
        source = streets.Streets(size=(32, 64), count=3).build()
        source.training_names = source.training()
        source.training = lambda: source.training_names
        source.prior()
    return source


@pytest.fixture(scope="session")
def scenes(town):
    return town.load([ref.id for ref in town.images()])


@pytest.fixture
def context(town):
    return Context(source=town)
