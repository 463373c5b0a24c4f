"""The semantic diffusion receiver: what its network is handed, what is random, and that it is DDPM and DDIM where it says so."""

from dataclasses import replace

import pytest
import torch

from semcom.diffusion.draws import Draws
from semcom.diffusion.variance_preserving import levels, stops
from semcom.errors import ScenarioError, WeightsError
from semcom.maps import gesco
from semcom.maps.analog import filtered
from semcom.maps.received import ReceivedMap, SoftMap, received_map, soft_map
from semcom.models import storage
from semcom.models.semantic_unet import SemanticUNet, normalised, pixels_of
from semcom.protocols import Context
from semcom.receive.semantic_diffusion import SemanticDiffusion
from semcom.registry import parse
from semcom.rng import Streams
from semcom.system import System
from semcom.train.optimise import seeded
from semcom.types import GREY, Received, ReceivedBits, ReceivedReals

pytestmark = pytest.mark.usefixtures("one_thread")
GESCO = {"kind": "gesco", "gesco_label": 5}
LINKS = {"physical_map": "analog", "oracle_physical_map": "analog", "legacy_map": GESCO, "oracle_legacy_map": GESCO}


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """A network that was never trained, with weights in place of its first zeros."""
    folder = tmp_path_factory.mktemp("semantic_diffusion")
    with seeded("semantic diffusion"):
        net = SemanticUNet((16, 16, 16), hidden=8, heads=1, embedding=16, upsampler_width=8)
        for parameter in net.parameters():
            parameter.data += 0.03 * torch.randn(parameter.shape)
    storage.save_network(net, folder)
    return str(folder)


@pytest.fixture
def receiver(weights):
    def make(**fields):
        return SemanticDiffusion(weights=weights, **{"steps": 3, **fields}).build(Context())

    return make


def labels(rows=3, size=(32, 64)):
    drawn = torch.randint(0, 12, (rows, size[0] // 4, size[1] // 4), generator=torch.Generator().manual_seed(0))
    return drawn.repeat_interleave(4, 1).repeat_interleave(4, 2)


def arrived(labels, std=0.0):
    """Maps as GESCO's path hands them on, without noise but said to have some."""
    reals, classes = gesco.encode(labels)
    ok = torch.ones(len(labels), dtype=torch.bool)
    part = ReceivedReals(reals.values, torch.full_like(reals.values, std), reals.shape, ok, form=gesco.FORM)
    return Received({"map": part}, None, tuple(labels.shape[1:]), ReceivedBits(classes.bits, classes.lengths, ok))


def streams(rows=3):
    return Streams.of([f"image {row}" for row in range(rows)]).for_system("a")


def lost(received, rows):
    """With maps of which nothing arrived."""
    part = received.parts["map"]
    ok = part.ok.clone()
    ok[rows] = False
    return replace(received, parts={"map": replace(part, ok=ok)})


class Counting:
    """A network that says what it was asked."""

    def __init__(self, network):
        self.network, self.upsampler, self.asked = network, network.upsampler, []

    def __call__(self, x, sigma, planes=None):
        self.asked.append((sigma, planes))
        return self.network(x, sigma, planes)


@pytest.mark.parametrize("kind", sorted(SemanticDiffusion.TAKES))
def test_a_map_of_any_form_becomes_a_picture(shades, scenes, context, weights, kind):
    transmit = {"kind": kind} if "oracle" in kind else {"kind": kind, "segmenter": "shades"}
    receive = {"kind": "semantic_diffusion", "weights": weights, "steps": 2}
    link = LINKS.get(kind, "ideal")
    made, plain = (System.of(transmit, link, r, context=context).send(scenes, 10, "11/5") for r in (receive, "map_as_is"))
    assert bool(made.ok.all()) and made.pixels.shape == scenes.pixels.shape
    assert 0.0 <= float(made.pixels.min()) and float(made.pixels.max()) <= 1.0
    assert torch.equal(made.labels, plain.labels)  # the map that arrived is handed over as it is


def test_pictures_do_not_depend_on_what_passes_with_them(receiver):
    whole = arrived(labels())
    for fields in ({}, {"solver": "ddpm", "samples": 2}):
        together = receiver(**fields).decode(whole, streams())
        for row in range(3):
            one = receiver(**fields).decode(arrived(labels()[[row]]), streams().select([row]))
            torch.testing.assert_close(together.pixels[[row]], one.pixels, rtol=0, atol=1e-4)
            if "samples" in fields:
                torch.testing.assert_close(together.samples[[row]], one.samples, rtol=0, atol=1e-4)


@pytest.mark.parametrize("solver", ["multistep", "heun", "ddim", "ddpm"])
def test_another_draw_of_the_decoders_stream_is_another_picture(receiver, solver):
    made = receiver(solver=solver)
    first, again, other = (made.decode(arrived(labels()), s).pixels for s in (streams(), streams(), streams().for_system("b")))
    assert torch.equal(first, again) and not torch.equal(first, other) and bool(first.isfinite().all())


def test_a_map_of_which_nothing_arrived_is_a_failure_and_its_neighbours_are_not(receiver):
    whole, some = (receiver(samples=2).decode(r, streams()) for r in (arrived(labels()), lost(arrived(labels()), [1])))
    assert some.ok.tolist() == [True, False, True]
    assert bool((some.pixels[1] == GREY).all() and (some.samples[1] == GREY).all() and (some.uncertainty[1] == 0).all())
    torch.testing.assert_close(some.pixels[[0, 2]], whole.pixels[[0, 2]], rtol=0, atol=1e-4)
    assert not receiver().decode(lost(arrived(labels()), [0, 1, 2]), streams()).ok.any()


def test_the_network_is_told_what_is_known_and_coarse_maps_are_enlarged(receiver):
    """A map of half the size, of which the upper half is lost."""
    known = torch.ones(3, 16, 32, dtype=torch.bool)
    known[:, :8] = False
    probabilities, _ = shown_of(labels()[:, ::2, ::2])
    found = ReceivedMap.of_soft(SoftMap(probabilities, known), (32, 64))
    planes = receiver().planes(arrived(labels()), found)
    assert bool((planes[:, :, :16] == 0).all()) and bool((planes[:, -1, 16:] == 1).all())
    torch.testing.assert_close(planes[:, :-1, 16:], shown_of(labels())[0][:, :, 16:])


def test_guidance_is_a_second_evaluation_unless_it_is_0_or_1(receiver):
    asked = {}
    for strength in (0.0, 1.0, 2.0):
        made = receiver(guidance=strength, steps=4)
        made.network = Counting(made.network)
        made.decode(arrived(labels()), streams())
        asked[strength] = [planes is not None for _, planes in made.network.asked]
    assert asked == {0.0: [False] * 4, 1.0: [True] * 4, 2.0: [False, True] * 4}


@pytest.mark.parametrize("guidance", [0.0, 1.0, 2.5])
def test_one_step_is_the_guided_estimate_within_the_range_of_pixels(receiver, guidance):
    made = receiver(steps=1, guidance=guidance, solver="ddim")
    top = float(levels()[-1])
    noise = Draws(streams(), (3, 16, 32))("shown")()
    x, sigma, planes = noise * (1 + top**2) ** 0.5, torch.full((3,), top), torch.cat([*shown_of(labels())], dim=1)
    without, with_map = made.network(x, sigma), made.network(x, sigma, planes)
    estimate = (without + guidance * (with_map - without)).clamp(normalised(0.0), normalised(1.0))
    got = made.decode(arrived(labels()), streams()).pixels
    torch.testing.assert_close(got, pixels_of(made.network.upsampler(estimate, planes)), rtol=0, atol=1e-4)


def shown_of(labels):
    one_hot = torch.nn.functional.one_hot(labels, 12).permute(0, 3, 1, 2).float()
    return one_hot, torch.ones_like(one_hot[:, :1])


@pytest.mark.parametrize("solver", ["ddpm", "ddim"])
def test_it_makes_the_picture_that_diffusers_makes_with_the_same_network(receiver, solver):
    """DDPM with the posterior's variance and DDIM, variance-preserving, the same noise in the same order."""
    from diffusers import DDIMScheduler, DDPMScheduler

    count, planes, all_levels = 8, torch.cat([*shown_of(labels())], dim=1), levels().float()
    common = {"prediction_type": "sample", "clip_sample": False, "timestep_spacing": "trailing"}
    scheduler = DDPMScheduler(1000, variance_type="fixed_small", **common) if solver == "ddpm" else DDIMScheduler(1000, **common)
    scheduler.set_timesteps(count)
    made = receiver(solver=solver, steps=count, guidance=1.0)
    fresh = Draws(streams(), (3, 16, 32))("shown")
    y = fresh()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda *shape, **how: fresh())
        for t in scheduler.timesteps:
            sigma = all_levels[t]
            estimate = made.network(y * (1 + sigma**2).sqrt(), sigma.expand(3), planes).clamp(normalised(0.0), normalised(1.0))
            y = scheduler.step(estimate, t, y).prev_sample
    got = made.decode(arrived(labels()), streams()).pixels
    # single precision at levels of 157; DDPM's own products are off by 1e-4 there
    torch.testing.assert_close(got, pixels_of(made.network.upsampler(y, planes)), rtol=0, atol=2e-3)


def test_a_thousand_steps_are_those_of_the_paper_and_few_are_at_levels_of_their_own(receiver):
    assert torch.equal(receiver(solver="ddpm", steps=1000).levels(), stops(1000))
    assert torch.equal(receiver(solver="ddim", steps=25).levels(), stops(25))
    for solver, steps, looks in (("multistep", 10, 10), ("heun", 10, 9), ("heun", 1, 1), ("ddpm", 5, 5)):
        made = receiver(solver=solver, steps=steps, guidance=1.0)
        made.network = Counting(made.network)
        made.decode(arrived(labels()), streams())
        assert len(made.network.asked) == looks


def test_legacy_planes_are_probabilities_or_what_a_filter_makes_of_them(receiver):
    noisy = arrived(labels(), 0.5)
    part = noisy.parts["map"]
    rng = torch.Generator().manual_seed(3)
    noisy = replace(noisy, parts={"map": replace(part, values=part.values + 0.5 * torch.randn(part.values.shape, generator=rng))})
    soft = receiver().planes(noisy, received_map(noisy))
    torch.testing.assert_close(soft[:, :-1], soft_map(noisy).probabilities)
    for denoise in ("mean", "fds", "none"):
        planes = receiver(denoise=denoise).planes(noisy, received_map(noisy, denoise))
        torch.testing.assert_close(planes[:, :-1], filtered(gesco.received_planes(noisy.parts["map"], noisy)[0], denoise))
        assert bool((planes[:, -1] == 1).all())
    assert "is for planes of legacy_map" in SemanticDiffusion(denoise="mean").fits(parse("transmit", "oracle_map"))
    assert SemanticDiffusion(denoise="mean").fits(parse("transmit", "oracle_legacy_map")) is None
    assert SemanticDiffusion.choices("guidance") and not SemanticDiffusion.choices("steps")


def test_samples_differ_and_tell_how_much(receiver):
    made = receiver(samples=3).decode(arrived(labels()), streams())
    assert made.samples.shape == (3, 3, 3, 32, 64) and made.uncertainty.shape == (3, 32, 64)
    torch.testing.assert_close(made.uncertainty, made.samples.std(dim=1).mean(dim=1))
    assert float(made.uncertainty.mean()) > 1e-4


@pytest.mark.parametrize("size", [(32, 64), (20, 36), (17, 33)])
def test_pictures_of_any_size(receiver, size):
    shown = labels(2, (32, 64))[:, : size[0], : size[1]].contiguous()
    made = receiver().decode(arrived(shown), streams(2))
    assert made.pixels.shape == (2, 3, *size) and bool(made.pixels.isfinite().all())


def test_what_cannot_be_received_is_said_in_a_sentence(receiver):
    with pytest.raises(ScenarioError, match="a label map is wanted and the message has latent"):
        receiver().decode(Received({"latent": None}, None, (32, 64)), streams())
    with pytest.raises(WeightsError, match="there are no weights 'nowhere'"):
        SemanticDiffusion(weights="nowhere").build(Context())
    assert "there are no weights 'nowhere'" in SemanticDiffusion(weights="nowhere").available()
    for wrong in ({"steps": 0}, {"steps": 1001}, {"solver": "magic"}, {"guidance": -1.0}, {"samples": -1}):
        with pytest.raises(ValueError):
            SemanticDiffusion(**wrong)
