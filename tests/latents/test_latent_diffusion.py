"""The diffusion receiver: what its denoiser is handed, where it starts, what is random, and what is said where something is missing."""

import math
import sys
from types import SimpleNamespace

import pytest
import torch

from semcom.errors import ScenarioError, WeightsError
from semcom.latents.coder import coder
from semcom.latents.received import arrived
from semcom.models import storage
from semcom.models.pretrained import Pretrained
from semcom.models.shipped import Shipped
from semcom.protocols import Context
from semcom.receive.latent_diffusion import EVALUATIONS, LatentDiffusion
from semcom.receive.vae import Vae
from semcom.registry import parse
from semcom.rng import Streams
from semcom.system import System
from semcom.train.data import Draws
from semcom.train.denoiser.levels import Air, received
from semcom.train.optimise import seeded
from semcom.train.tasks.denoiser_fast import with_fast_mode
from semcom.types import Condition, ReceivedReals, Usage

H, W = 8, 12
RATIO = "1/6"


@pytest.fixture(scope="session")
def fast_weights(denoiser_weights, folders, tmp_path_factory):
    """The same with a fast mode, which was never trained either."""
    folder = tmp_path_factory.mktemp("fast")
    net = with_fast_mode(Shipped(denoiser_weights, "LatentDenoiser").load(), "denoiser")
    with seeded("fast"):
        for name, parameter in net.named_parameters():
            parameter.data += 0.1 * torch.randn(parameter.shape) * name.startswith("fast_")
    storage.save_network(net, folder)
    storage.write_facts(folder, Shipped(denoiser_weights, "LatentDenoiser").facts())
    return str(folder)


@pytest.fixture
def receiver(folders, denoiser_weights):
    def make(**fields):
        return LatentDiffusion(autoencoder=folders["own"], weights=denoiser_weights, **fields).build(Context())

    return make


def sent(folders, images, snr_db=5.0, channels=8, power="flat", channel="awgn", link="analog"):
    """(what a link hands on of the images' latents, the streams)."""
    context, streams = Context(), Streams.of(images.ids)
    transmit = parse("transmit", {"kind": "vae_latent", "autoencoder": folders["own"], "channels": channels, "power": power})
    carrier = parse("link", link).build(parse("channel", channel).build("cpu"), "cpu")
    message = transmit.build(context).encode(images, carrier.budget(channels * H * W // 2, Condition(snr_db)), streams)
    return carrier.send(message, [Condition(snr_db)] * len(images), streams), streams.for_system("a")


def latents_of(folders, images):
    return coder(Pretrained(folders["own"]), "cpu").model.encode(images.pixels)


@pytest.mark.parametrize("power", ["flat", (4.0, 1.0, 1.0, 0.5, 0.5, 0.2, 0.2, 0.1)], ids=["flat", "table"])
@pytest.mark.parametrize("channels", [8, 3])
def test_the_denoiser_gets_latents_plus_noise_of_the_levels_that_it_is_told(folders, images, receiver, power, channels):
    """x = clean + sigma n over the channels that were sent, in the scale that training means: sqrt(usual power / own power)."""
    own = coder(Pretrained(folders["own"]), "cpu")
    got, _ = sent(folders, images, 10.0, channels, power)
    values, sigma = receiver().whole(arrived(own, got.parts["latent"]))
    assert values.shape == (4, 8, H, W) and bool(sigma[:, channels:].isinf().all() and (values[:, channels:] == 0).all())
    clean = latents_of(folders, images)
    usual, mine = own.power[:channels].mean(), clean[:, :channels].square().mean(dim=(1, 2, 3), keepdim=True)
    error = (values - clean * (usual / mine).sqrt())[:, :channels] / sigma[:, :channels]
    n = error.numel()
    # where the power is not flat the scale is an estimate, whose error adds to the noise's: a few percent of the latents
    assert float(error.square().mean()) == pytest.approx(1.0, abs=4 * math.sqrt(2 / n) + (0.0 if power == "flat" else 0.1))
    if power == "flat":
        trained = received(clean, torch.tensor(own.power).float(), (channels,), Air(lost=0.0, allotted=0.0, path=0.0, fast=0.0, blocks=0.0, snr_db=(10.0, 10.0)), Draws(0, 0, (0, 1, 2, 3)))
        torch.testing.assert_close(trained[0], (clean * (usual / mine).sqrt()).float())
        torch.testing.assert_close(trained[1], sigma)


def test_one_step_is_the_denoisers_estimate_and_none_is_the_plain_decoder(folders, images, receiver):
    got, streams = sent(folders, images)
    one = receiver(steps=1)
    values, sigma = one.whole(arrived(one.coder, got.parts["latent"]))
    assert torch.equal(one.decode(got, streams).pixels, one.coder.pictures(one.network(values, sigma)))
    plain = Vae(autoencoder=folders["own"]).build(Context()).decode(got, streams)
    assert torch.equal(receiver(steps=0).decode(got, streams).pixels, plain.pixels)


def test_fast_is_one_evaluation_of_the_second_mode_and_shows_all_channels(folders, images, receiver, fast_weights):
    got, streams = sent(folders, images, channels=3)
    own = {"autoencoder": folders["own"], "weights": fast_weights, "decode": "all", "samples": 1}
    made = LatentDiffusion(**own, steps="fast").build(Context())
    values, sigma = made.whole(arrived(made.coder, got.parts["latent"]))
    expected = made.coder.pictures(made.network(values, sigma, None, torch.ones(4, dtype=torch.bool)))
    shown = made.decode(got, streams)
    assert torch.equal(shown.pixels, expected)
    first = LatentDiffusion(**own, steps=1).build(Context())
    slow = first.decode(got, streams)
    assert float((slow.pixels - expected).abs().max()) > 1e-3
    assert torch.equal(shown.samples, slow.samples)  # drawn by the first mode
    with pytest.raises(ScenarioError, match="steps: fast, and its weights '.*' have no fast mode"):
        receiver(steps="fast")


def test_the_decoder_gets_the_channels_that_were_sent_or_all(folders, images, receiver):
    got, streams = sent(folders, images, channels=3)
    for decode in ("sent", "all"):
        made = receiver(steps=1, decode=decode)
        values, sigma = made.whole(arrived(made.coder, got.parts["latent"]))
        latents = made.network(values, sigma)
        given = latents if decode == "all" else latents[:, :3] / torch.tensor(made.coder.power[:3].mean()).float().sqrt()
        torch.testing.assert_close(made.decode(got, streams).pixels, made.coder.pictures(given), rtol=0, atol=1e-5)


def test_lower_precision_is_that_of_denoiser_and_decoder_and_changes_little(folders, images, receiver):
    """bf16 keeps 8 bits of each product: some quarter of a percent a layer, of pixels in [0, 1]."""
    got, streams = sent(folders, images)
    exact, half = (receiver(steps=1, precision=name) for name in ("float32", "bf16"))
    error = (exact.decode(got, streams).pixels - half.decode(got, streams).pixels).square().mean().sqrt()
    assert 0 < float(error) < 4 * 2**-8
    latents, everything = latents_of(folders, images), torch.full((4,), 8)
    assert not torch.equal(half._pictures(latents, everything), exact._pictures(latents, everything))


def test_channels_that_nobody_decodes_are_left_unknown_on_the_way(folders, images, receiver):
    """Levels start at that of what arrived, and the denoiser meets the other channels as not sent at every one of them."""
    got, streams = sent(folders, images, channels=3)
    made, seen = receiver(steps=3), []
    made.network.register_forward_pre_hook(lambda module, given: seen.append(given[1]))
    made.decode(got, streams)
    level = made.whole(arrived(made.coder, got.parts["latent"]))[1][:, :3]
    assert len(seen) == 3 and torch.equal(seen[0][:, :3], level) and bool((seen[1][:, :3] < level).all())
    assert all(bool(sigma[:, 3:].isinf().all()) for sigma in seen)


def test_a_clean_channel_is_handed_over_to_the_plain_decoder(folders, images, receiver):
    got, streams = sent(folders, images, 30.0)
    plain = Vae(autoencoder=folders["own"]).build(Context()).decode(got, streams).pixels
    assert torch.equal(receiver(hand_over_db=29.9).decode(got, streams).pixels, plain)
    for never in ({"hand_over_db": 30.1}, {"hand_over_db": None}):
        assert not torch.equal(receiver(**never).decode(got, streams).pixels, plain)
    few, streams = sent(folders, images, 30.0, channels=3)  # channels that were not sent are there to be made
    assert not torch.equal(receiver().decode(few, streams).pixels, Vae(autoencoder=folders["own"]).build(Context()).decode(few, streams).pixels)


@pytest.mark.parametrize("solver", ["euler", "heun", "multistep", "ancestral"])
def test_one_received_latent_is_one_picture_but_for_the_stochastic_process(folders, images, receiver, solver):
    got, streams = sent(folders, images)
    made = receiver(steps=4, solver=solver)
    first, again, other = (made.decode(got, s).pixels for s in (streams, streams, streams.for_system("b")))
    assert torch.equal(first, again) and bool(first.isfinite().all())
    assert torch.equal(first, other) == (solver != "ancestral")


def test_pictures_do_not_depend_on_what_passes_with_them(folders, images, receiver):
    """Rows of different numbers of evaluations, in one batch and one by one."""
    got, streams = sent(folders, images)
    part = got.parts["latent"]
    levels = torch.tensor([0.1, 0.6, 3.0, math.inf])[:, None].expand_as(part.noise_std).clone()
    levels[2, ::3] = math.inf
    mixed = ReceivedReals(torch.where(levels.isinf(), 0.0, part.values), levels, part.shape, torch.tensor([True, True, True, False]))

    def decode(rows, **fields):
        some = ReceivedReals(mixed.values[rows], mixed.noise_std[rows], mixed.shape, mixed.ok[rows])
        return receiver(**fields).decode(SimpleNamespace(parts={"latent": some}, image_size=got.image_size), streams.select(rows))

    for fields in ({}, {"solver": "ancestral", "steps": 3}, {"samples": 2}):
        together = decode([0, 1, 2, 3], **fields)
        for row in range(4):
            alone = decode([row], **fields)
            torch.testing.assert_close(together.pixels[row : row + 1], alone.pixels, rtol=0, atol=1e-4)
            if "samples" in fields:
                torch.testing.assert_close(together.samples[row : row + 1], alone.samples, rtol=0, atol=1e-4)
    assert together.ok.tolist() == [True, True, True, False] and bool((together.pixels[3] == 0.5).all())


def test_more_noise_takes_more_steps(folders, images, receiver):
    made = receiver()
    sigma = torch.tensor([0.1, 0.4, 0.9, 1.5, 5.0, math.inf])[:, None, None, None].expand(-1, 8, H, W)
    everything = torch.full((6,), 8)
    counts = made._evaluations(sigma, torch.zeros(6, dtype=torch.bool), everything).tolist()
    assert counts == sorted(counts) and counts[0] == EVALUATIONS[0][1] and counts[-1] == EVALUATIONS[-1][1] <= 10
    assert made._evaluations(sigma, torch.ones(6, dtype=torch.bool), everything).tolist() == [0] * 6


def test_samples_differ_more_where_less_arrived_and_lost_elements_are_filled_in(folders, images, receiver):
    got, streams = sent(folders, images, 15.0)
    part = got.parts["latent"]
    noise = part.noise_std.clone().reshape(4, 8, H, W)
    noise[:, :, :, W // 2 :] = math.inf
    lossy = ReceivedReals(part.values, noise.flatten(1), part.shape, part.ok)
    made = receiver(samples=3).decode(SimpleNamespace(parts={"latent": lossy}, image_size=got.image_size), streams)
    assert made.samples.shape == (4, 3, 3, 64, 96) and made.uncertainty.shape == (4, 64, 96)
    half = made.uncertainty.shape[2] // 2
    assert float(made.uncertainty[:, :, half + 16 :].mean()) > 2 * float(made.uncertainty[:, :, : half - 16].mean())
    torch.testing.assert_close(made.uncertainty, made.samples.std(dim=1).mean(dim=1))


def test_a_map_that_comes_with_the_message_conditions_the_picture(folders, images, receiver, monkeypatch):
    """The map alone is enough for a picture; guidance 1 is the map as it was trained, 0 leaves it out."""
    known = torch.ones(4, 8, 12, dtype=torch.bool)
    classes = torch.nn.functional.one_hot(torch.arange(4), 12).float()[:, :, None, None].expand(-1, -1, 8, 12)
    shown = SimpleNamespace(
        soft_map=lambda received: SimpleNamespace(probabilities=classes, known=known),
        received_map=lambda received: SimpleNamespace(labels=torch.arange(4)[:, None, None].expand(-1, 64, 96)),
    )
    monkeypatch.setitem(sys.modules, "semcom.maps", SimpleNamespace(received=shown))
    monkeypatch.setitem(sys.modules, "semcom.maps.received", shown)
    got, streams = sent(folders, images)
    part = got.parts["latent"]
    nothing = ReceivedReals(torch.zeros_like(part.values), torch.full_like(part.noise_std, math.inf), part.shape, torch.zeros(4, dtype=torch.bool))
    both = SimpleNamespace(parts={"latent": nothing, "map": object()}, image_size=got.image_size)
    alone = SimpleNamespace(parts={"latent": nothing}, image_size=got.image_size)
    made = {name: receiver(steps=2, **fields).decode(both, streams) for name, fields in
            {"one": {}, "two": {"guidance": 2.0}, "none": {"guidance": 0.0}, "ignored": {"map": "ignore"}}.items()}
    assert bool(made["one"].ok.all()) and not made["ignored"].ok.any() and not receiver().decode(alone, streams).ok.any()
    assert float((made["one"].pixels - made["none"].pixels).abs().max()) > 1e-4
    assert float((made["one"].pixels - made["two"].pixels).abs().max()) > 1e-4
    without = SimpleNamespace(parts={"map": object()}, image_size=got.image_size)
    assert torch.equal(receiver(steps=2).decode(without, streams).pixels, made["one"].pixels)


@pytest.mark.parametrize(
    "channel", ["rayleigh", [{"kind": "ofdm"}, {"kind": "tdl", "speed_kmh": 30}], ["awgn", {"kind": "erasure", "probability": 0.2}]], ids=str
)
def test_it_receives_over_any_channel(folders, images, denoiser_weights, channel):
    system = System.of(
        {"kind": "vae_latent", "autoencoder": folders["own"], "channels": 4}, {"kind": "analog", "fill": "repeat"},
        {"kind": "latent_diffusion", "autoencoder": folders["own"], "weights": denoiser_weights, "steps": 2}, channel,
    )  # fmt: skip
    result = system.send(images, 10.0, "1/12")
    assert bool(result.ok.all()) and bool(result.pixels.isfinite().all()) and isinstance(result.usage, Usage)


def test_what_cannot_be_received_is_said_in_a_sentence(folders, images, denoiser_weights, receiver, tmp_path):
    with pytest.raises(ScenarioError, match="which are of the latents of 'own', and names the autoencoder"):
        LatentDiffusion(autoencoder=folders["foreign"], weights=denoiser_weights).build(Context())
    with pytest.raises(ScenarioError, match="needs the part 'latent' of `transmit: vae_latent`"):
        receiver().decode(SimpleNamespace(parts={}, image_size=(64, 96)), Streams.of(images.ids))
    with pytest.raises(WeightsError, match="there are no weights 'nowhere'"):
        LatentDiffusion(autoencoder=folders["own"], weights="nowhere").build(Context())
    assert "there are no weights 'nowhere'" in LatentDiffusion(weights="nowhere").available()
    transmit = parse("transmit", {"kind": "vae_latent", "autoencoder": folders["foreign"]})
    assert "give both the same" in LatentDiffusion(autoencoder=folders["own"], weights=denoiser_weights).fits(transmit)
    for wrong in ({"steps": -1}, {"steps": "many"}, {"solver": "magic"}, {"guidance": -1.0}, {"samples": -1}):
        with pytest.raises(ValueError):
            LatentDiffusion(**wrong)
