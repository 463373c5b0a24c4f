"""Training a denoiser: the levels and maps that it meets, encoded pictures, and that it goes on after a kill."""

import math

import pytest
import torch

from semcom.models.denoiser import CLASSES, PLANES
from semcom.models.shipped import Shipped
from semcom.train.data import Augmentation, Draws, Steps
from semcom.train.denoiser.latents import Encoded
from semcom.train.denoiser.levels import Air, received
from semcom.train.loop import Training
from semcom.train.maps import Maps, planes
from semcom.train.pack import Pack
from semcom.train.tasks.denoiser import DenoiserTask

ROWS, SHAPE = 300, (16, 8, 12)
POWER = torch.linspace(3.0, 0.2, 16) / torch.linspace(3.0, 0.2, 16).mean()
QUIET = {"fast": 0.0, "blocks": 0.0, "allotted": 0.0, "lost": 0.0, "path": 0.0}
SENT = (0, 1, 4, 16)
TASK = {"kind": "latent_denoiser", "widths": [8, 8, 8], "heads": 1, "views": 2}


def draws(step=0, rows=ROWS):
    return Draws(0, step, tuple(range(rows)))


def latents(rows=ROWS):
    drawn = torch.randn(rows, *SHAPE, generator=torch.Generator().manual_seed(0)) * POWER.sqrt()[:, None, None]
    return drawn / drawn.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()


def share(which, expected):
    """A share of ROWS pictures is within four deviations of what the recipe says."""
    assert float(which.float().mean()) == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / ROWS))


def test_leading_channels_are_sent_and_have_the_usual_power_of_a_message_in_the_receivers_scale():
    clean, sigma = received(latents(), POWER, SENT, Air(**QUIET), draws())
    count = sigma.isfinite().flatten(2).all(2).sum(1)
    for number in SENT:
        rows = count == number
        share(rows, 1 / len(SENT))
        assert bool(sigma[rows, :number].isfinite().all() and sigma[rows, number:].isinf().all())
        if number:
            torch.testing.assert_close(clean[rows, :number].square().mean(dim=(1, 2, 3)), POWER[:number].mean().expand(int(rows.sum())))
            level = sigma[rows, :number].flatten(1)
            assert bool((level == level[:, :1]).all())
            snr_db = 20 * (POWER[:number].mean().sqrt() / level[:, 0]).log10()
            assert -12.001 <= float(snr_db.min()) and float(snr_db.max()) <= 28.001
            assert float(snr_db.mean()) == pytest.approx(8.0, abs=4 * 40 / math.sqrt(12 * int(rows.sum())))
    torch.testing.assert_close(clean[count == 0], latents()[count == 0])


def test_fading_power_and_losses_come_in_the_shares_of_the_recipe():
    usual = received(latents(), POWER, (16,), Air(**QUIET), draws())[1]
    for field, value in {"fast": 0.3, "blocks": 0.2, "allotted": 0.4, "lost": 0.5}.items():
        sigma = received(latents(), POWER, (16,), Air(**{**QUIET, field: value}), draws())[1]
        changed = (sigma != usual).flatten(1).any(1)
        if field != "lost":
            share(changed, value)
        else:  # a rectangle may lie outside of all elements
            assert 0.35 < float(changed.float().mean()) < 0.6
            assert bool((sigma.isinf() | (sigma == usual)).all())
        gain = (usual / sigma).square()[changed]
        if field == "fast":  # 1 / |h|^2 of an exponential: the gain has mean 1 and variance 1; neighbours share a use
            n = gain.numel() / 2
            assert float(gain.mean()) == pytest.approx(1.0, abs=4 / math.sqrt(n) + 1e-3)
            torch.testing.assert_close(gain[..., ::2], gain[..., 1::2])
        if field == "blocks":
            torch.testing.assert_close(gain, gain[..., :1].expand_as(gain))
            assert len(gain[0, 0, :, 0].unique()) == 2
        if field == "allotted":
            torch.testing.assert_close(gain, gain[..., :1, :1].expand_as(gain))


def test_the_way_of_a_sampler_is_the_smaller_of_level_and_time():
    start = received(latents(), POWER, SENT, Air(**QUIET), draws())[1]
    sigma = received(latents(), POWER, SENT, Air(**{**QUIET, "path": 1.0}), draws())[1]
    t = sigma.flatten(1).amax(1)
    assert bool((sigma <= start).all()) and bool((sigma.isfinite()).all())
    lowered = (sigma < start).flatten(1)
    assert bool((sigma.flatten(1)[lowered] == t[:, None].expand_as(lowered)[lowered]).all())
    assert 0.0199 <= float(t.min()) and float(t.max()) <= 40.01
    same = received(latents(), POWER, SENT, Air(**{**QUIET, "path": 0.6}), draws())[1]
    assert bool(((same == start) | (same == sigma)).flatten(1).all(1).all())


def labels(rows=ROWS, size=(64, 96)):
    blocks = torch.randint(0, CLASSES, (rows, size[0] // 16, size[1] // 16), generator=torch.Generator().manual_seed(1))
    return blocks.repeat_interleave(16, 1).repeat_interleave(16, 2)


def test_maps_are_given_in_a_share_and_are_exact_where_nothing_is_done_to_them():
    plain = Maps(given=0.5, soft=0.0, wrong=0.0, partial=0.0, without_void=0.0)
    made = planes(labels(), (8, 12), plain, draws())
    assert made.shape == (ROWS, PLANES, 16, 24)
    given = made[:, -1].flatten(1).any(1)
    share(given, 0.5)
    assert bool((made[~given] == 0).all()) and bool((made[given, -1] == 1).all())
    # blocks of 16 pixels are the coarsest map: no thinning changes them
    exact = torch.nn.functional.one_hot(labels()[:, ::4, ::4], CLASSES).permute(0, 3, 1, 2).float()
    torch.testing.assert_close(made[given, :-1], exact[given])


def test_maps_may_be_soft_wrong_partial_and_silent_about_void():
    def made(**shares):
        none = {"given": 1.0, "soft": 0.0, "wrong": 0.0, "partial": 0.0, "without_void": 0.0}
        return planes(labels(), (8, 12), Maps(**{**none, **shares}), draws())

    plain, soft, wrong, partial, silent = made(), made(soft=1.0), made(wrong=1.0), made(partial=1.0), made(without_void=1.0)
    torch.testing.assert_close(soft[:, :-1].sum(1), torch.ones_like(soft[:, -1]))
    assert float(soft[:, :-1].amax(1).mean()) < 0.999
    # half of 30 % on average, of which one of eleven stays right by chance (void never does); uniform over pictures, and as
    # few as 24 places in every fifth
    deviation = math.sqrt((0.3**2 / 12 + 0.15 * 0.85 / 24 / 5) / ROWS)
    assert float((wrong - plain)[:, :-1].abs().sum(1).mean()) / 2 == pytest.approx(0.15 * 11 / 12, abs=4 * deviation)
    # two uniform places: a third lies between them on average
    assert float(partial[:, -1].mean()) == pytest.approx(2 / 3, abs=4 * math.sqrt(1 / 18 / ROWS))
    void = plain[:, CLASSES - 1] > 0
    assert bool((silent[:, -1][void] == 0).all())
    torch.testing.assert_close(silent * ~void[:, None], plain * ~void[:, None])


def test_encoded_pictures_are_made_once_and_take_turns_by_epoch(toy_pack, tmp_path):
    calls = []

    def encode(pixels):
        calls.append(len(pixels))
        return pixels[:, :, ::8, ::8].repeat(1, 2, 1, 1)

    def data(made_by="one", seed=0):
        steps = Steps([Pack.open(toy_pack)], Augmentation((16, 32), (0.6, 1.0), True, 0.1), 4, seed, (1, 3))
        return Encoded(steps, encode, made_by, 3, tmp_path / "latents.safetensors")

    first = data()
    assert sum(calls) == 6 * 3
    again = data()
    assert sum(calls) == 6 * 3  # read back
    for step in (0, 1, 7):
        batch, same = first[step], again[step]
        assert torch.equal(batch.latents, same.latents) and torch.equal(batch.labels, same.labels)
        assert batch.latents.shape == (2, 6, 2, 4) and batch.labels.shape == (2, 16, 32)
        for place, row in enumerate((1, 3)):
            epoch = (step * 4 + row) // 6
            pixels, classes = first._view(first.steps.index(step, row), epoch % 3)
            expected = encode(torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None])[0]
            torch.testing.assert_close(batch.latents[place], expected, rtol=1e-3, atol=1e-3)  # half precision
            assert torch.equal(batch.labels[place], torch.from_numpy(classes.astype("int64")))
    count = sum(calls)
    data("another")
    assert sum(calls) == count + 18  # of another encoder
    assert first.plain(2).pixels.shape == (2, 3, 16, 32)


def test_a_killed_training_goes_on_to_the_same_weights_bit_for_bit(recipe, tmp_path, killed):
    assert killed(recipe(task=TASK), at=6).resumed_from == 4
    files = [tmp_path / name / "weights" / "diffusion_pytorch_model.safetensors" for name in ("whole", "killed")]
    assert files[0].read_bytes() == files[1].read_bytes()
    net = Shipped(str(tmp_path / "whole" / "weights"), "LatentDenoiser")
    assert net.load().channels == 16 and net.facts()["of"]["name"] == "autoencoder"


def test_the_loss_falls(recipe, tmp_path):
    changes = {"optimise__steps": 60, "optimise__learning_rate": 3e-3, "optimise__batch_size": 6, "keep__checkpoint_every": 100}
    found = [sum(progress.losses.values()) for progress in Training(recipe(task={**TASK, "widths": [16, 16, 16]}, **changes), tmp_path)]
    assert min(found[-2:]) < found[0] - 0.02


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="heads is 3 and the last of widths 8; it must be a multiple"):
        DenoiserTask(**{**TASK, "heads": 3})
    with pytest.raises(ValueError, match="fast \\+ blocks is 1.2; at most 1, the rest is AWGN"):
        Air(fast=0.6, blocks=0.6)
    with pytest.raises(ValueError, match="expected \\[lowest, highest\\]"):
        Air(snr_db=(5.0, 0.0))
