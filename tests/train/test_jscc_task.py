"""Training a joint source-channel code: the channels that it meets, what it descends, and that it goes on after a kill."""

import math
from pathlib import Path

import pytest
import torch

from semcom.link.analog import Analog
from semcom.models.shipped import Shipped
from semcom.registry import find
from semcom.rng import Streams
from semcom.train import losses
from semcom.train.data import Draws
from semcom.train.loop import Training
from semcom.train.recipe import load
from semcom.train.tasks.jscc import Air, JSCCTask, gains, noise_levels
from semcom.types import Condition, Message, Reals

ROOT = Path(__file__).resolve().parents[2]
TOTAL = 192
TASK = {"kind": "jscc", "channels": 4, "width": 8, "fine_width": 8, "encoder_blocks": 1, "decoder_blocks": 1, "sent": [1, 4]}


def power(air, rows=400):
    return gains(air, Draws(0, 0, tuple(range(rows))), TOTAL)


def test_fading_has_mean_power_1_and_is_exponential():
    for air in (Air(block=1.0, fast=0.0), Air(block=0.0, fast=1.0)):
        drawn = power(air)[:, ::2].flatten() if air.fast else power(air)[:, 0]
        n = len(drawn)
        # an exponential with mean 1 has variance 1, and its square has mean 2 and variance 20
        assert float(drawn.mean()) == pytest.approx(1.0, abs=4 / math.sqrt(n))
        assert float(drawn.square().mean()) == pytest.approx(2.0, abs=4 * math.sqrt(20 / n))
    assert bool((power(Air(block=0.0, fast=0.0)) == 1.0).all())


def test_a_gain_lasts_a_picture_or_a_channel_use():
    block, fast = power(Air(block=1.0, fast=0.0)), power(Air(block=0.0, fast=1.0))
    assert bool((block == block[:, :1]).all())
    pairs = fast.reshape(400, -1, 2)
    assert torch.equal(pairs[..., 0], pairs[..., 1]) and len(pairs[0, :, 0].unique()) == pairs.shape[1]


def test_channels_are_mixed_as_the_recipe_says():
    drawn = power(Air(block=0.3, fast=0.1))
    clear = (drawn == 1.0).all(1)
    flat = (drawn == drawn[:, :1]).all(1)
    for share, expected in ((clear, 0.6), (flat & ~clear, 0.3), (~flat, 0.1)):
        assert float(share.float().mean()) == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / 400))


@pytest.mark.parametrize("channel", ["awgn", "rayleigh"])
def test_noise_levels_are_those_of_the_analog_link(channel):
    """Training and simulation mean the same by SNR."""
    air = find("channel", channel)().build("cpu")
    link = Analog().build(air, "cpu")
    values = torch.randn(3, 200, generator=torch.Generator().manual_seed(0))
    values = values / values.square().mean(1, keepdim=True).sqrt()
    condition, streams = Condition(7.0), Streams.of(["a", "b", "c"])
    received = link.send(Message({"image": Reals(values, (200,))}, link.budget(100, condition), (8, 8)), [condition] * 3, streams)
    levels = received.parts["image"].noise_std
    clear = noise_levels(torch.full((3,), 7.0), torch.ones(3, 1))
    gain = (clear / levels).square()  # |h|^2
    if channel == "awgn":
        torch.testing.assert_close(gain, torch.ones_like(gain))
    torch.testing.assert_close(noise_levels(torch.full((3,), 7.0), gain[:, :1]), levels[:, :1])
    error = ((received.parts["image"].values - values) / levels).square().mean()
    assert float(error) == pytest.approx(1.0, abs=4 * math.sqrt(2 / 600))


def test_the_loss_is_a_tenth_of_the_psnr():
    original = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    other = original + torch.tensor([0.1, 0.01])[:, None, None, None]
    assert float(losses.log_mse(original, other)) == pytest.approx(-(20 + 40) / 2 / 10, abs=0.03)


def test_counts_are_the_ones_to_choose_from_or_any_between():
    task = JSCCTask(**{**TASK, "between": 0.5}).build()
    counts = task._counts(Draws(0, 0, tuple(range(400))), 24)
    assert int(counts.min()) >= 6 and int(counts.max()) <= 24
    whole = ((counts == 6) | (counts == 24)).float().mean()
    assert 0.5 <= float(whole) + 4 * 0.025 and float(whole) < 0.7


def test_a_killed_training_goes_on_to_the_same_weights_bit_for_bit(recipe, tmp_path, killed):
    assert killed(recipe(task=TASK), at=6).resumed_from == 4
    files = [tmp_path / name / "weights" / "diffusion_pytorch_model.safetensors" for name in ("whole", "killed")]
    assert files[0].read_bytes() == files[1].read_bytes()
    net = Shipped(str(tmp_path / "whole" / "weights"), "JSCC")
    assert net.load().channels == 4 and net.facts()["snr_db"] == [-5.0, 20.0]


def test_the_loss_falls(recipe, tmp_path):
    changes = {"optimise__steps": 40, "optimise__learning_rate": 3e-3, "optimise__batch_size": 6, "keep__checkpoint_every": 100}
    found = [sum(progress.losses.values()) for progress in Training(recipe(task=TASK, **changes), tmp_path)]
    assert min(found[-2:]) < found[0] - 0.05  # half a decibel


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"sent is \[1, 9\]; each must lie in 1 to channels = 4"):
        JSCCTask(**{**TASK, "sent": (1, 9)})
    with pytest.raises(ValueError, match="block \\+ fast is 1.2; at most 1, the rest is AWGN"):
        Air(block=0.6, fast=0.6)
    with pytest.raises(ValueError, match="expected \\[lowest, highest\\]"):
        Air(snr_db=(5.0, 0.0))


def test_what_ships_fits_its_three_mebibytes():
    task = load(ROOT / "recipes" / "jscc.yaml").task
    net = task.build().networks()["jscc"]
    assert task.channels == 32  # a bandwidth ratio of 1/12
    assert 2 * sum(value.numel() for value in net.state_dict().values()) + 50_000 < 3 * 2**20
