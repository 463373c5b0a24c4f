"""A codec's file in front of the diffusion receiver: what codecs do to latents by rate, and where the receiver starts from that."""

import copy
import math
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from semcom import codecs
from semcom.cli.main import app
from semcom.errors import WeightsError
from semcom.latents import reencoded
from semcom.latents.coder import coder
from semcom.latents.reencoded import CodecErrors, measured
from semcom.models import storage
from semcom.models.pretrained import Pretrained
from semcom.protocols import Context
from semcom.receive.codec_diffusion import CodecDiffusion
from semcom.registry import parse
from semcom.rng import Streams
from semcom.system import System
from semcom.train import toy
from semcom.train.codec_errors import of_codec
from semcom.types import Condition, ReceivedBits

SIZE = (64, 96)


@pytest.fixture(scope="module")
def errors(folders, pixels):
    """What JPEG does to the toy's latents, measured on the pictures that are sent, and written beside its weights."""
    own = coder(Pretrained(folders["own"]), "cpu")
    made = CodecErrors(own.encoder, {"jpeg": of_codec(own, codecs.codec("jpeg"), pixels)})
    made.save(reencoded.path_of(own.file))
    yield made
    reencoded.path_of(own.file).unlink()


@pytest.fixture
def receiver(folders, denoiser_weights, errors):
    def make(**fields):
        return CodecDiffusion(autoencoder=folders["own"], weights=denoiser_weights, **fields).build(Context())

    return make


def sent(images, uses=1500, mcs="qpsk-1/2", snr_db=20.0):
    streams = Streams.of(images.ids)
    link = parse("link", {"kind": "digital", "mcs": mcs}).build(parse("channel", "awgn").build("cpu"), "cpu")
    transmit = parse("transmit", {"kind": "image_codec", "codec": "jpeg"}).build(Context())
    message = transmit.encode(images, link.budget(uses, Condition(snr_db)), streams)
    return link.send(message, [Condition(snr_db)] * len(images), streams), streams.for_system("a")


def test_slope_and_level_are_those_of_what_was_disturbed():
    """y = a z + e: a and deviation(e) / a come back, for each rate by itself, to within the moments' own errors."""
    rng, n = np.random.default_rng(0), 200_000
    z, slopes, deviations = rng.normal(size=(2, n)), np.array([0.9, 0.4]), np.array([0.3, 0.5])
    y = slopes[:, None] * z + deviations[:, None] * rng.normal(size=(2, n))
    moments = np.stack([(z * z).mean(1), (y * z).mean(1), (y * y).mean(1)])
    rates, found, levels = measured({2.0: moments, 0.5: moments})
    assert rates.tolist() == [0.5, 2.0]
    np.testing.assert_allclose(found, [slopes] * 2, atol=5 * 0.5 / n**0.5)
    np.testing.assert_allclose(levels, [deviations / slopes] * 2, rtol=5 * 3 / n**0.5)


def test_between_rates_levels_are_interpolated_and_beyond_them_kept():
    table = CodecErrors("e", {"webp": (np.array([0.1, 0.4]), np.array([[0.5], [1.0]]), np.array([[0.8], [0.2]]))})
    for rate, slope, level in ((0.1, 0.5, 0.8), (0.2, 0.5**0.5, 0.4), (0.4, 1.0, 0.2), (0.01, 0.5, 0.8), (9.0, 1.0, 0.2)):
        found = table.at("webp", rate)
        assert (float(found[0][0]), float(found[1][0])) == (pytest.approx(slope), pytest.approx(level))


def test_more_bits_are_less_noise_and_levels_are_true_on_the_pictures_that_were_measured(folders, errors, pixels, images):
    rates, _, levels = errors.tables["jpeg"]
    assert bool((np.diff(rates) > 0).all()) and len(rates) >= 4
    total = np.sqrt((levels**2).mean(axis=1))
    assert total[-1] < 0.5 * total[0]
    own = coder(Pretrained(folders["own"]), "cpu")
    got, _ = sent(images, 2500)
    seen = parse("receive", "image_codec").build(Context()).decode(got, Streams.of(images.ids))
    lengths = got.parts["image"].lengths.tolist()
    found = reencoded.reencoded(own, errors, seen.pixels, [("jpeg", length / (SIZE[0] * SIZE[1])) for length in lengths])
    values, sigma = found.unbiased()
    ratio = ((values - own.leading(images.pixels, own.channels)) / sigma).square().mean(dim=(2, 3))
    # the files that were measured are the best of 14 qualities a resolution, and pictures differ: within a factor of two in all
    assert 0.5 < float(ratio.mean()) < 2.0


def test_no_evaluation_is_the_codecs_picture_and_some_are_others(images, receiver):
    got, streams = sent(images)
    plain = parse("receive", "image_codec").build(Context()).decode(got, streams)
    assert bool(plain.ok.all()) and torch.equal(receiver(steps=0).decode(got, streams).pixels, plain.pixels)
    made = receiver(steps=2).decode(got, streams)
    assert bool(made.ok.all()) and float((made.pixels - plain.pixels).abs().max()) > 1e-3


def test_a_lost_file_is_no_picture_and_the_others_do_not_depend_on_it(images, receiver):
    got, streams = sent(images)
    part, made = got.parts["image"], receiver(steps=3, samples=2)

    def decode(rows, ok):
        some = ReceivedBits(part.bits[rows], part.lengths[rows], torch.tensor(ok))
        return made.decode(SimpleNamespace(parts={"image": some}, image_size=SIZE), streams.select(rows))

    together = decode([0, 1, 2, 3], [True, False, True, True])
    assert together.ok.tolist() == [True, False, True, True] and bool((together.pixels[1] == 0.5).all())
    for row in (0, 2, 3):
        alone = decode([row], [True])
        torch.testing.assert_close(together.pixels[row : row + 1], alone.pixels, rtol=0, atol=1e-4)
        torch.testing.assert_close(together.samples[row : row + 1], alone.samples, rtol=0, atol=1e-4)


def test_a_whole_system_says_what_it_depends_on(folders, images, denoiser_weights, errors):
    receive = {"kind": "codec_diffusion", "autoencoder": folders["own"], "weights": denoiser_weights, "steps": 2}
    system = System.of({"kind": "image_codec", "codec": "jpeg"}, {"kind": "digital", "mcs": "qpsk-1/2"}, receive)
    assert bool(system.send(images, 10.0, "1/6").ok.all())
    identity = parse("receive", receive).identity()
    own = coder(Pretrained(folders["own"]), "cpu")
    assert identity["errors"] == storage.digest(reencoded.path_of(own.file)) and identity["libraries"] == codecs.versions()
    assert parse("receive", receive).available() is None


def test_measurements_belong_to_an_encoder_and_not_to_a_decoder(folders, tmp_path, errors, denoiser_weights):
    folder = tmp_path / "again"
    shutil.copytree(folders["own"], folder)
    file = Pretrained(str(folder)).file()
    net = storage.load_network(folder)
    for part, fits in (("decoder", True), ("encoder", False)):
        other = copy.deepcopy(net)
        next(getattr(other, part).parameters()).data += 1.0
        storage.save_network(other, folder)
        if fits:
            assert reencoded.load(file).encoder == errors.encoder
        else:
            with pytest.raises(WeightsError, match="was measured for another encoder"):
                reencoded.load(file)
    reencoded.path_of(file).unlink()
    sentence = CodecDiffusion(autoencoder=str(folder), weights=denoiser_weights).available()
    assert "which tells how noisy codecs leave its latents; measure them on training pictures: semcom weights codecs" in sentence


def test_codecs_are_measured_by_a_command(folders, tmp_path, capsys, monkeypatch):
    folder = tmp_path / "net"
    shutil.copytree(folders["foreign"], folder)
    pack = toy.write(tmp_path / "toy.safetensors")
    monkeypatch.setattr(codecs, "NAMES", ("jpeg",))
    app(["weights", "codecs", str(folder), str(pack), "--size", "32", "64", "--pictures", "3"], standalone_mode=False)
    path = reencoded.path_of(Pretrained(str(folder)).file())
    assert storage.digest(path) in capsys.readouterr().out
    slopes, levels = reencoded.load(Pretrained(str(folder)).file()).at("jpeg", 0.5)
    assert slopes.shape == levels.shape == (4,) and math.isfinite(levels.sum()) and Path(path).stat().st_size < 50_000
