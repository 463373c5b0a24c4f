"""What every metric keeps to, whatever it measures."""

import random

import numpy as np
import pytest
import torch
import yaml
from diffusers import AutoencoderTiny

from semcom import registry
from semcom.errors import DataError, ScenarioError
from semcom.latents.named import DEFAULT
from semcom.metrics.base import RATES, Quantity, quantity, to_8bit
from semcom.models import storage
from semcom.models import weights as pinned

#: of those that look at two pictures alone; scores of label maps and of samples have tests of their own
KINDS = sorted(set(registry.TABLE["metric"]) - {"semantic", "uncertainty"})
SIZES = {"ms_ssim": (164, 170), "ms_ssim_4": (84, 100)}  # of test pictures; smaller ones do for the rest
#: feature layers as torchvision numbers them: (outputs, inputs, kernel)
ALEX = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}
VGG = {0: (64, 3), 2: (64, 64), 5: (128, 64), 7: (128, 128), 10: (256, 128), 12: (256, 256), 14: (256, 256), 17: (512, 256),
       19: (512, 512), 21: (512, 512), 24: (512, 512), 26: (512, 512), 28: (512, 512)}  # fmt: skip


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Random backbones in the layout that the real ones have: the same code reads both."""
    from torchvision import models

    folder, rng = tmp_path_factory.mktemp("weights"), torch.Generator().manual_seed(0)
    for net, layers in [("alex", ALEX), ("vgg", {number: (*shape, 3) for number, shape in VGG.items()})]:
        state = {}
        for number, (outputs, inputs, kernel) in layers.items():
            scale = (2 / (inputs * kernel**2)) ** 0.5
            state[f"{number}.weight"] = scale * torch.randn(outputs, inputs, kernel, kernel, generator=rng)
            state[f"{number}.bias"] = torch.zeros(outputs)
        torch.save(state, folder / f"{net}.backbone.pth")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save(models.squeezenet1_1(weights=None).features.state_dict(), folder / "squeeze.backbone.pth")
        widths = {"encoder_block_out_channels": (8,) * 4, "decoder_block_out_channels": (8,) * 4}
        storage.save_network(AutoencoderTiny(latent_channels=4, **widths), folder / DEFAULT)
    return folder


@pytest.fixture(params=KINDS)
def description(request, weights, monkeypatch):
    monkeypatch.setenv("SEMCOM_WEIGHTS", str(weights))
    monkeypatch.setenv("TORCH_HOME", str(weights / "nothing"))
    file = weights / DEFAULT / storage.HALF
    monkeypatch.setattr(pinned, "ROOT", weights)
    monkeypatch.setattr(pinned, "TABLE", {DEFAULT: pinned.Pinned(file.name, storage.digest(file), "none")})
    return registry.find("metric", request.param)()


@pytest.fixture(scope="module")
def built():
    return {}


@pytest.fixture
def prepared(description, built):
    if description.kind not in built:
        built[description.kind] = description.build("cpu")
    return built[description.kind]


def batch(description, count=4, seed=1):
    rng, size = torch.Generator().manual_seed(seed), SIZES.get(description.kind, (40, 48))
    x = torch.nn.functional.interpolate(torch.rand(count, 3, 11, 11, generator=rng), size, mode="bicubic").clamp(0, 1)
    return to_8bit(x), to_8bit((x + 0.1 * torch.randn(x.shape, generator=rng)).clamp(0, 1))


def test_values_are_one_float64_an_image_in_the_declared_columns(description, prepared):
    x, y = batch(description)
    values = prepared(x, y)
    assert tuple(values) == prepared.columns == tuple(description.COLUMNS)
    for value in values.values():
        assert value.dtype == torch.float64 and value.shape == (4,) and value.isfinite().all() and not value.requires_grad


def test_an_image_s_value_does_not_depend_on_its_neighbours(description, prepared):
    x, y = batch(description)
    whole = prepared(x, y)
    for column, value in whole.items():
        alone = torch.cat([prepared(x[i : i + 1], y[i : i + 1])[column] for i in range(4)])
        pairs = torch.cat([prepared(x[i : i + 2], y[i : i + 2])[column] for i in (0, 2)])
        scale = value.abs().clamp(min=1)
        assert float(((alone - value) / scale).abs().max()) < 1e-6 and float(((pairs - value) / scale).abs().max()) < 1e-6
        backwards = prepared(x.flip(0), y.flip(0))[column].flip(0)
        assert float(((backwards - value) / scale).abs().max()) < 1e-6


def test_better_is_where_the_original_is(description, prepared):
    x, y = batch(description)
    for column, info in description.COLUMNS.items():
        same, noisy = prepared(x, x)[column], prepared(x, y)[column]
        assert ((same > noisy) if info.better == "higher" else (same < noisy)).all()
        assert quantity(column) == quantity(f"{column}@prior") == info


def test_global_generators_are_left_alone_and_arguments_unchanged(description):
    x, y = batch(description)
    x_before, y_before = x.clone(), y.clone()
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    description.build("cpu")(x, y)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1]) and random.getstate() == states[2]
    assert torch.equal(x, x_before) and torch.equal(y, y_before)


def test_an_empty_batch_gives_no_values(prepared):
    nothing = torch.zeros(0, 3, 176, 176)
    assert all(len(value) == 0 for value in prepared(nothing, nothing).values())


def test_shapes_that_do_not_fit_are_named(prepared):
    with pytest.raises(DataError, match=r"\(2, 3, 176, 176\).*\(1, 3, 176, 176\)"):
        prepared(torch.zeros(2, 3, 176, 176), torch.zeros(1, 3, 176, 176))


def test_the_description_goes_through_yaml_and_its_example_loads(description):
    assert type(description).model_validate(yaml.safe_load(yaml.safe_dump(description.model_dump(mode="json")))) == description
    example = type(description).__doc__.split("Example::")[1]
    assert type(description).model_validate(yaml.safe_load(example)["metric"]) == description
    assert description.identity()["kind"] == description.kind and description.available() is None


def test_every_rate_has_a_label_and_an_unknown_column_its_nearest_name():
    assert all(quantity(name) == info for name, info in RATES.items())
    with pytest.raises(ScenarioError, match="did you mean 'psnr'"):
        quantity("pnsr")


def test_a_metric_from_outside_brings_its_own_columns():
    class Plugin:
        COLUMNS = {"sharpness": Quantity("Sharpness", "higher")}

    assert quantity("sharpness", [Plugin()]).label == "Sharpness"
