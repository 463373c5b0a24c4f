"""The training of the label-map coder: what it draws is unbiased, it goes on where it was killed, and what ships codes."""

import numpy as np
import pytest
import torch

from semcom.codecs.label_map import coder, context, network
from semcom.errors import DataError, ScenarioError, StoreError
from semcom.models import storage
from semcom.train import pack, toy
from semcom.train.label_map import maps, recipe
from semcom.train.label_map.fit import Fit
from semcom.train.label_map.ship import FILE, ship

RECIPE = """\
name: tiny
packs: [{pack}]
sources:
  toy: {{share: 1.0, cuts: 2}}
hidden: [8, 6]
steps: 6
cooldown: 2
warmup: 1
batch_size: 128
checkpoint_every: 2
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The file of a tiny recipe and its pack."""
    folder = tmp_path_factory.mktemp("label_map")
    items = [toy.picture(number)._replace(name=f"toy/{number}") for number in range(3)]
    provenance = [{"source": "toy", "images": 3, "terms": "made up"}]
    pack.write(folder / "toy.safetensors", items, toy.CLASSES, provenance)
    path = folder / "tiny.yaml"
    path.write_text(RECIPE.format(pack=folder / "toy.safetensors"))
    return path


def run(fit):
    assert all(np.isfinite(progress.loss) for progress in fit)


def test_a_killed_training_goes_on_to_the_same_weights(tiny, tmp_path, one_thread):
    whole = Fit(recipe.load(tiny), tmp_path / "whole")
    run(whole)
    part = Fit(recipe.load(tiny, ["steps=4", "cooldown=0"]), tmp_path / "part")
    run(part)
    with pytest.raises(StoreError, match="holds a training of another recipe"):
        Fit(recipe.load(tiny, ["seed=1"]), tmp_path / "part")
    longer = Fit(recipe.load(tiny), tmp_path / "part")
    assert longer.step == 4
    run(longer)
    for name, value in whole.average.state_dict().items():
        assert torch.equal(longer.average.state_dict()[name], value), name


def test_what_ships_codes_maps_and_has_a_card(tiny, tmp_path, one_thread):
    fit = Fit(recipe.load(tiny), tmp_path)
    run(fit)
    folder = ship(fit, "python -m semcom.train.label_map tiny.yaml")
    assert storage.facts(folder)["sha256"] == storage.digest(folder / FILE)
    card = (folder / "CARD.md").read_text()
    assert "whole numbers of 16 bits" in card and "| toy | 3 | made up |" in card and "hidden: [8, 6]" in card
    model = network.read(folder / FILE)
    labels = toy.picture(9).labels[::2, ::2]
    assert np.array_equal(coder.decode(coder.encode(labels, model=model), labels.shape, model=model), labels)


def test_the_integer_network_is_the_trained_one(tiny, tmp_path, one_thread):
    """Bits a pixel agree within what rounding 8-bit activations does."""
    fit = Fit(recipe.load(tiny), tmp_path)
    run(fit)
    model = network.read(ship(fit, "") / FILE)
    pixels = fit.maps.pools["toy"][0].draw(2000, np.random.default_rng(0))
    with torch.no_grad():
        logits = fit.average(*(torch.from_numpy(part) for part in (pixels.columns, pixels.rows, pixels.candidates)))
    nats = torch.nn.functional.cross_entropy(logits, torch.from_numpy(pixels.classes), reduction="none").numpy()
    made = model.frequencies(pixels.columns, pixels.rows, pixels.candidates)
    bits = -np.log2(made[np.arange(2000), pixels.classes] / network.TOTAL)
    assert np.abs(bits - nats / np.log(2)).max() < 0.2
    assert bits.mean() == pytest.approx(nats.mean() / np.log(2), rel=0.01)


def test_features_in_training_are_those_of_the_coder(tiny, one_thread):
    """The weighted loss of all pixels of a map, each once, is the coder's own estimate."""
    labels = maps.cut(toy.picture(4).labels, 0, np.random.default_rng(0))[::4, ::4]
    pool, model = maps.Pool(labels[None], context.level_of(*labels.shape)), network.shipped()

    class Each:
        """Draws every pixel once, and none from the hard ones."""

        def integers(self, high, size):
            return np.arange(high)[:size]

    pool._hard = pool._hard[:0]
    pixels = pool.draw(labels.size, Each())
    made = model.frequencies(pixels.columns, pixels.rows, pixels.candidates)
    bits = -np.log2(made[np.arange(labels.size), pixels.classes] / network.TOTAL)
    assert bits.sum() == pytest.approx(coder.ideal_bits(labels), rel=1e-9)


def test_drawn_pixels_are_unbiased():
    """The weights of n draws add to 1 on average: within five standard errors."""
    labels = np.stack([maps.cut(toy.picture(n).labels, n, np.random.default_rng(n)) for n in range(2)])
    drawn = maps.Pool(labels, 0).draw(20_000, np.random.default_rng(0)).weights
    assert drawn.sum() == pytest.approx(1.0, abs=5 * drawn.std() * np.sqrt(len(drawn)))


def test_cut_number_0_is_what_sources_give():
    from semcom.source._geometry import resize_labels

    labels = np.arange(288 * 384).reshape(288, 384) % 251
    assert np.array_equal(maps.cut(labels, 0, np.random.default_rng(0)), resize_labels(labels, (128, 256)))


def test_what_is_wrong_is_said(tiny, tmp_path):
    with pytest.raises(ScenarioError, match="there is no 'step' here"):
        recipe.load(tiny, ["step=5"])
    with pytest.raises(ScenarioError, match="warmup 1 and cooldown 9 exceed steps 6"):
        recipe.load(tiny, ["cooldown=9"])
    with pytest.raises(DataError, match="the packs hold no label map of 'camvid'; pack some, or leave it out"):
        Fit(recipe.load(tiny, ["sources={camvid: {share: 1.0}}"]), tmp_path)
