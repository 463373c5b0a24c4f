"""The GAN receiver: what its generator is handed, what is random, what does not matter, and what is said where something is missing."""

import math
from dataclasses import replace

import pandas as pd
import pytest
import torch
import yaml

from semcom.errors import ScenarioError, WeightsError
from semcom.latents.coder import coder
from semcom.latents.received import arrived, whole
from semcom.maps.received import soft_map
from semcom.models import storage
from semcom.models.denoiser import planes_of
from semcom.models.pretrained import Pretrained
from semcom.models.spade_generator import SpadeGenerator, linear, shown_where
from semcom.protocols import Context
from semcom.receive.gan import Gan
from semcom.receive.vae import Vae
from semcom.registry import parse
from semcom.rng import Streams
from semcom.scenario import load
from semcom.store.reader import read_batches
from semcom.sweep.run import Run
from semcom.system import System
from semcom.train.optimise import seeded
from semcom.types import Condition, ImageBatch, Received, ReceivedReals, Usage

H, W = 8, 12
RATIO = "1/6"


@pytest.fixture(scope="session")
def weights(tmp_path_factory, folders):
    """A generator for the toy autoencoder's latents that was never trained, with weights in place of its first zeros."""
    folder = tmp_path_factory.mktemp("generator")
    own = coder(Pretrained(folders["own"]), "cpu")
    with seeded("generator"):
        net = SpadeGenerator(tuple(own.power.tolist()), (16, 8, 8), (1, 1, 1), (4, 4, 4), noise=3, embedding=8)
        for parameter in net.parameters():
            parameter.data += 0.05 * torch.randn(parameter.shape)
    storage.save_network(net, folder)
    storage.write_facts(folder, {"of": {"name": "own", "encoder": own.encoder, "decoder": storage.digest(own.file)}})
    return str(folder)


@pytest.fixture
def receiver(folders, weights):
    def make(**fields):
        return Gan(autoencoder=folders["own"], weights=weights, **fields).build(Context())

    return make


@pytest.fixture(scope="session")
def labelled(images):
    labels = torch.randint(0, 11, (4, 8, 12), generator=torch.Generator().manual_seed(2)).repeat_interleave(8, 1).repeat_interleave(8, 2)
    return ImageBatch(images.pixels, images.ids, labels)


def latent_of(folders, images, snr_db=5.0, channels=8, power="flat"):
    """(what a link hands on of the images' latents, the streams)."""
    streams = Streams.of(images.ids)
    transmit = parse("transmit", {"kind": "vae_latent", "autoencoder": folders["own"], "channels": channels, "power": power})
    carrier = parse("link", "analog").build(parse("channel", "awgn").build("cpu"), "cpu")
    message = transmit.build(Context()).encode(images, carrier.budget(channels * H * W // 2, Condition(snr_db)), streams)
    return carrier.send(message, [Condition(snr_db)] * len(images), streams), streams.for_system("a")


def map_of(images, kind="oracle_map"):
    """What an ideal link hands on of the images' label maps."""
    streams = Streams.of(images.ids)
    carrier = parse("link", "ideal").build(parse("channel", "awgn").build("cpu"), "cpu")
    transmit = parse("transmit", kind).build(Context())
    message = transmit.encode(images, carrier.budget(4096, Condition(10.0), transmit.side_bits), streams)
    return carrier.send(message, [Condition(10.0)] * len(images), streams), streams.for_system("a")


def both_of(folders, images, **fields):
    got, streams = latent_of(folders, images, **fields)
    return replace(got, parts={**got.parts, "map": map_of(images)[0].parts["map"]}), streams


def rows_of(got, rows):
    """The rows of a received message, as if nothing else had been sent with them."""
    def some(part):
        if isinstance(part, ReceivedReals):
            return replace(part, values=part.values[rows], noise_std=part.noise_std[rows], ok=part.ok[rows])
        arrived = None if part.arrived is None else part.arrived[rows]
        return replace(part, bits=part.bits[rows], lengths=part.lengths[rows], ok=part.ok[rows], arrived=arrived)

    usage = Usage(got.usage.granted[rows], {name: uses[rows] for name, uses in got.usage.uses.items()}, got.usage.energy[rows])
    side = None if got.side is None else some(got.side)
    return Received({name: some(part) for name, part in got.parts.items()}, usage, got.image_size, side)


@pytest.mark.parametrize("power", ["flat", (4.0, 1.0, 1.0, 0.5, 0.5, 0.2, 0.2, 0.1)], ids=["flat", "table"])
def test_the_generator_gets_latents_their_levels_the_map_and_what_the_plain_decoder_shows(folders, labelled, receiver, power):
    got, streams = both_of(folders, labelled, power=power)
    made = receiver()
    values, sigma = whole(arrived(made.coder, got.parts["latent"]), torch.tensor(made.coder.power).float())
    plain = Vae(autoencoder=folders["own"]).build(Context()).decode(replace(got, parts={"latent": got.parts["latent"]}), streams).pixels
    shown = soft_map(got)
    planes = planes_of(shown.probabilities, shown.known, (16, 24))
    assert planes.shape == (4, 13, 32, 48)
    expected = made.network(values, sigma, planes, plain, torch.zeros(4, 3, H, W)).clamp(0, 1)
    reconstruction = made.decode(got, streams)
    torch.testing.assert_close(reconstruction.pixels, expected, rtol=0, atol=1e-5)
    assert torch.equal(reconstruction.labels, labelled.labels) and bool(reconstruction.ok.all())
    if power == "flat":  # the base of training is that of receiving
        base = shown_where(made.coder.pictures(linear(values, sigma, torch.tensor(made.coder.power).float())), sigma)
        torch.testing.assert_close(base, plain, rtol=0, atol=1e-5)


def test_before_training_the_picture_is_the_plain_decoders_and_grey_without_latents(folders, labelled, receiver):
    made = receiver()
    own = made.coder
    with seeded("new"):
        made.network = SpadeGenerator(tuple(own.power.tolist()), (16, 8, 8), (1, 1, 1), (4, 4, 4)).eval()
    got, streams = both_of(folders, labelled)
    plain = Vae(autoencoder=folders["own"]).build(Context()).decode(replace(got, parts={"latent": got.parts["latent"]}), streams)
    torch.testing.assert_close(made.decode(got, streams).pixels, plain.pixels, rtol=0, atol=1e-6)
    alone, streams = map_of(labelled)
    assert bool((made.decode(alone, streams).pixels == 0.5).all())


def test_one_message_is_one_picture_and_samples_are_those_of_the_decoders_stream(folders, labelled, receiver):
    got, streams = both_of(folders, labelled)
    made = receiver(samples=3)
    first, again, other = (made.decode(got, s) for s in (streams, streams, streams.for_system("b")))
    assert torch.equal(first.pixels, other.pixels) and torch.equal(first.samples, again.samples)
    assert not torch.equal(first.samples, other.samples) and first.samples.shape == (4, 3, 3, 64, 96)
    assert not torch.equal(first.samples[:, 0], first.samples[:, 1])
    torch.testing.assert_close(first.uncertainty, first.samples.std(dim=1).mean(dim=1))
    assert torch.equal(receiver().decode(got, streams).pixels, first.pixels) and receiver().decode(got, streams).samples is None


def test_pictures_do_not_depend_on_what_passes_with_them(folders, labelled, receiver):
    """A latent and a map that both arrived; one alone, or the other; none: in one batch and one by one."""
    got, streams = both_of(folders, labelled)
    latent, bits = got.parts["latent"], got.parts["map"]
    there = torch.tensor([True, True, False, False])
    latent = replace(
        latent, values=torch.where(there[:, None], latent.values, 0.0),
        noise_std=torch.where(there[:, None], latent.noise_std, math.inf), ok=there,
    )  # fmt: skip
    bits = replace(bits, ok=torch.tensor([True, False, True, False]))
    mixed = replace(got, parts={"latent": latent, "map": bits})
    made = receiver(samples=2)
    together = made.decode(mixed, streams)
    assert together.ok.tolist() == [True, True, True, False]
    assert bool((together.pixels[3] == 0.5).all()) and bool((together.samples[3] == 0.5).all())
    for row in range(4):
        alone = made.decode(rows_of(mixed, [row]), streams.select([row]))
        for name in ("pixels", "samples", "labels"):
            torch.testing.assert_close(getattr(together, name)[row : row + 1], getattr(alone, name), rtol=0, atol=1e-4)


def test_what_did_not_arrive_is_not_looked_at(folders, images, receiver):
    got, streams = latent_of(folders, images)
    part = got.parts["latent"]
    noise = part.noise_std.clone()
    noise[:, ::3] = math.inf
    values = torch.where(noise.isinf(), 7.0, part.values)
    made = receiver()
    pictures = [
        made.decode(replace(got, parts={"latent": replace(part, values=x, noise_std=noise)}), streams).pixels
        for x in (values, torch.where(noise.isinf(), -3.0, part.values))
    ]
    assert torch.equal(*pictures)


def test_the_map_is_used_unless_it_is_ignored_and_enough_for_a_picture(folders, labelled, receiver):
    got, streams = both_of(folders, labelled)
    used, ignored = receiver().decode(got, streams), receiver(map="ignore").decode(got, streams)
    latent, _ = latent_of(folders, labelled)
    assert not torch.equal(used.pixels, ignored.pixels) and ignored.labels is None
    assert torch.equal(ignored.pixels, receiver().decode(latent, streams).pixels)
    alone, streams = map_of(labelled)
    made = receiver().decode(alone, streams)
    assert bool(made.ok.all()) and float(made.pixels.std()) > 0


@pytest.mark.parametrize("link", ["analog", {"kind": "analog", "fill": "repeat"}])
@pytest.mark.parametrize(
    "channel", ["rayleigh", [{"kind": "ofdm"}, {"kind": "tdl", "speed_kmh": 30}], ["awgn", {"kind": "erasure", "probability": 0.2}]], ids=str
)
def test_it_receives_latents_over_any_channel(folders, images, weights, channel, link):
    system = System.of(
        {"kind": "vae_latent", "autoencoder": folders["own"], "channels": 4}, link,
        {"kind": "gan", "autoencoder": folders["own"], "weights": weights}, channel,
    )  # fmt: skip
    result = system.send(images, 10.0, "1/12")
    assert bool(result.ok.all()) and bool(result.pixels.isfinite().all())


PACKETS = {"kind": "packet", "link": {"kind": "digital", "mcs": "qpsk-1/2"}, "symbols": 256, "loss": 0.2}


@pytest.mark.parametrize(
    ("transmit", "link", "ratio"),
    [("oracle_map", "digital", RATIO), ("oracle_map", PACKETS, RATIO), ("oracle_physical_map", "analog", RATIO), ("oracle_legacy_map", "gesco", "11/5")],
    ids=["digital", "packets", "analog", "gesco"],
)
def test_it_receives_label_maps_of_any_form(folders, labelled, weights, transmit, link, ratio):
    receive = {"kind": "gan", "autoencoder": folders["own"], "weights": weights}
    result = System.of(transmit, link, receive, "awgn").send(labelled, 15.0, ratio)
    assert result.pixels.shape == labelled.pixels.shape and bool(result.pixels.isfinite().all())
    assert result.labels is not None and bool(result.ok.any())


def test_it_receives_quantised_latents_and_a_map_beside_latents(folders, images, labelled, weights):
    """A code that did not arrive is a failure; of a map and a latent either is enough, and both are used."""
    own = {"autoencoder": folders["own"]}
    receive = {"kind": "gan", "weights": weights, **own}
    coded = System.of({"kind": "vae_latent_quantised", "channels": 4, **own}, {"kind": "digital", "mcs": "qpsk-1/2"}, receive, "awgn")
    clean, lost = coded.send(images, 15.0, RATIO), coded.send(images, -15.0, RATIO)
    assert bool(clean.ok.all()) and bool(clean.pixels.isfinite().all())
    assert not lost.ok.any() and bool((lost.pixels == 0.5).all())
    parts = {"map": {"link": {"kind": "digital", "mcs": "qpsk-1/3"}, "uses": "1/2"}, "latent": {"link": "analog", "uses": "rest"}}
    both = {
        kind: System.of({"kind": "oracle_map_and_latent", "channels": 4, **own}, {"kind": "parts", "parts": parts}, {**receive, **fields}, "awgn").send(labelled, 15.0, RATIO)
        for kind, fields in (("used", {}), ("ignored", {"map": "ignore"}))
    }
    assert bool(both["used"].ok.all()) and both["used"].labels is not None
    assert not torch.equal(both["used"].pixels, both["ignored"].pixels)


def test_bf16_is_close_and_has_an_identity_of_its_own(folders, labelled, receiver, weights):
    got, streams = both_of(folders, labelled)
    exact, half = receiver().decode(got, streams).pixels, receiver(precision="bf16").decode(got, streams).pixels
    # 8 bits of mantissa through some dozen layers: a few parts in a hundred of what the network adds
    added = exact - Vae(autoencoder=folders["own"]).build(Context()).decode(replace(got, parts={"latent": got.parts["latent"]}), streams).pixels
    assert float((half - exact).abs().mean()) < 0.05 * float(added.abs().mean())
    told = [Gan(autoencoder=folders["own"], weights=weights, precision=p).identity() for p in ("float32", "bf16")]
    assert told[0] != told[1] and told[0]["weights"] == storage.digest(storage.weights_file(storage.Path(weights)))


def test_what_cannot_be_received_is_said_in_a_sentence(folders, images, weights, receiver):
    with pytest.raises(ScenarioError, match="which are of the latents of 'own', and names the autoencoder"):
        Gan(autoencoder=folders["foreign"], weights=weights).build(Context())
    got, streams = latent_of(folders, images)
    with pytest.raises(ScenarioError, match="needs the part 'latent' of `transmit: vae_latent`, or a label map"):
        receiver().decode(replace(got, parts={}), streams)
    with pytest.raises(WeightsError, match="there are no weights 'nowhere'"):
        Gan(autoencoder=folders["own"], weights="nowhere").build(Context())
    assert "there are no weights 'nowhere'" in Gan(weights="nowhere").available()
    assert Gan(autoencoder=folders["own"], weights=weights).available() is None
    transmit = parse("transmit", {"kind": "vae_latent", "autoencoder": folders["foreign"]})
    assert "give both the same" in Gan(autoencoder=folders["own"], weights=weights).fits(transmit)
    assert "leave `map: ignore` out" in Gan(map="ignore").fits(parse("transmit", "segmentation_map"))
    assert Gan().fits(parse("transmit", "segmentation_map")) is None
    for wrong in ({"samples": -1}, {"map": "perhaps"}, {"precision": "half"}):
        with pytest.raises(ValueError):
            Gan(**wrong)


def test_a_sweep_that_was_stopped_goes_on_to_the_same_rows_and_batches_do_not_matter(folders, weights, tmp_path):
    own = {"autoencoder": folders["own"]}
    systems = {
        "gan": {"transmit": {"kind": "vae_latent", "channels": 4, **own}, "link": "analog", "receive": {"kind": "gan", "weights": weights, **own}},
        "map": {"transmit": "oracle_physical_map", "link": "analog", "receive": {"kind": "gan", "weights": weights, **own}},
    }
    file = tmp_path / "small.yaml"
    file.write_text(yaml.safe_dump({
        "name": "small", "seed": 1, "source": {"kind": "streets", "size": [64, 96], "count": 3}, "channel": "awgn",
        "sweep": {"bandwidth_ratio": ["1/12"], "snr_db": [5]}, "systems": systems, "metrics": ["psnr"],
        "figures": {"curves": {"metrics": ["psnr"]}}, "execution": {"device": "cpu", "batch_size": 2},
    }))  # fmt: skip

    def finish(out, *overrides):
        job = Run(load(file, overrides=list(overrides)), out, device="cpu")
        list(job)
        assert not job.failures
        return job, read_batches(job.layout).sort_values(["unit", "image", "repeat"]).reset_index(drop=True)

    job, before = finish(tmp_path / "out")
    for path in sorted(job.layout.batches.glob("*.parquet"))[::2]:
        path.unlink()
    pd.testing.assert_frame_equal(finish(tmp_path / "out")[1], before)
    one = finish(tmp_path / "one", "execution.batch_size=1")[1]
    # 1e-4 before rounding to 8 bits: a level here and there moves the PSNR by far less than this
    assert (one["psnr"] - before["psnr"]).abs().max() < 0.05 and (one["ok"] == before["ok"]).all()
    assert before["ok"].any()
