"""Index maps: what LLRs say of a class is right as often as it says."""

import math

import pytest
import torch

from semcom import registry
from semcom.classes import UNKNOWN
from semcom.maps import index, resize, soft_map
from semcom.maps.received import CLASSES
from semcom.rng import Streams, generator
from semcom.system import System
from semcom.transmit.index_map import largest
from semcom.types import Budget, Received, ReceivedBits, Usage

INDEX = {"kind": "index_map", "segmenter": "shades", "size": (8, 16)}


def received(part, ok, llr=None, arrived=None):
    count = torch.full((len(ok),), 10)
    bits = ReceivedBits(part.bits, part.lengths, torch.tensor(ok), arrived, llr, shape=part.shape, form=part.form)
    return Received({"map": bits}, Usage(count, {"payload": count}, count.double()), (64, 128))


def drawn(rows=4, size=(64, 128)):
    return torch.from_numpy(generator("index maps").integers(0, CLASSES, (rows, *size)))


@pytest.mark.parametrize("snr_db", [-3.0, 2.0])
def test_probabilities_are_right_as_often_as_they_say(snr_db):
    """Over BPSK in Gaussian noise and equally probable classes the posterior is exact: its mean is the share that is right."""
    labels = drawn()
    part, sigma = index.message(labels), 10 ** (-snr_db / 20)
    noise = torch.from_numpy(generator("noise").standard_normal(part.bits.shape)).float()
    llr = 2.0 * ((2.0 * part.bits - 1.0) + sigma * noise) / sigma**2
    soft = soft_map(received(part, [False] * len(labels), llr))
    assert torch.allclose(soft.probabilities.sum(dim=1), torch.ones(labels.shape), atol=1e-5) and bool(soft.known.all())
    right = (soft.labels() == labels).double()
    said = soft.probabilities.amax(dim=1).double()
    assert abs(float((right - said).mean())) < 5 * float((right - said).std()) / math.sqrt(labels.numel())


def test_a_crc_that_holds_and_bits_that_are_missing_are_told_apart():
    labels = drawn(2, (8, 16))
    part = index.message(labels)
    nothing = torch.zeros(part.bits.shape)
    soft = soft_map(received(part, [True, False], nothing))
    assert torch.equal(soft.labels()[0], labels[0]) and float(soft.probabilities[0].amax(dim=0).min()) == 1.0
    assert not soft.known[1].any() and torch.allclose(soft.probabilities[1], torch.tensor(1.0 / CLASSES))
    arrived = torch.ones(part.bits.shape, dtype=torch.bool)
    arrived[:, 10:20] = False  # parts of the pixels 2 to 4
    soft = soft_map(received(part, [False, False], None, arrived))
    assert torch.equal(soft.known.flatten(1).logical_not().nonzero()[:, 1], torch.tensor([2, 3, 4, 2, 3, 4]))
    assert torch.equal(soft.labels()[soft.known], labels[soft.known])


@pytest.mark.parametrize("link", [{"kind": "digital", "modulation": "qpsk", "code": "uncoded"}, {"kind": "digital", "mcs": "qpsk-1/2"}])
def test_errors_cost_pixels_and_not_the_map(shades, scenes, context, link):
    sent = resize(resize(shades.labels(scenes.pixels), (8, 16)), (32, 64))
    air = System.of(INDEX, link, "map_as_is", "awgn", context)
    clear, noisy, hopeless = (air.send(scenes, snr_db, "1/6") for snr_db in (15.0, 4.0 if "code" in link else 0.0, -20.0))
    assert torch.equal(clear.labels, sent) and not clear.counts["frame_failures"].any()
    assert bool(noisy.counts["frame_failures"].all()) and bool(noisy.ok.all())
    share = (noisy.labels == sent).float().mean()
    assert abs(float(noisy.label_probabilities.amax(dim=1).mean()) - float(share)) < 0.1  # it knows how often it errs
    assert 0.4 < float(share) < 1.0 and float((hopeless.labels == sent).float().mean()) < 0.4
    assert noisy.label_probabilities.shape == (len(scenes), CLASSES, 8, 16)


def test_over_polar_codes_and_packets_it_is_hard(shades, scenes, context):
    for link in ({"kind": "digital", "mcs": "qpsk-1/2", "code": "polar"}, {"kind": "packet", "link": "digital", "symbols": 512}):
        lost = System.of(INDEX, link, "map_as_is", "awgn", context).send(scenes, -20, "1/6")
        assert not lost.ok.any() and (lost.labels == UNKNOWN).all()


def test_it_takes_the_largest_map_that_fits(shades, scenes, context):
    transmit = registry.parse("transmit", {**INDEX, "size": "auto"}).build(context)
    for bits in (4, 100, 1000, 10**6):
        part = transmit.encode(scenes, Budget(1, bits=bits), Streams.of(scenes.ids)).parts["map"]
        rows, columns, width = part.shape
        assert width == 4 and 4 * rows * columns <= bits and (rows, columns) == largest((32, 64), bits // 4)
    assert part.shape == (32, 64, 4)
    small = transmit.encode(scenes, Budget(1, bits=3), Streams.of(scenes.ids))
    assert small.infeasible == ("an index map of 1x1 needs 4 bits and 3 fit",) * 3


def test_transmissions_of_several_budgets_come_together(shades, scenes, context):
    """With CSIT each transmission has a map of its own size; what is known of them is brought to the size of the picture."""
    link = {"kind": "adaptive", "csit": "perfect"}
    air = System.of({**INDEX, "size": "auto"}, link, "map_as_is", "rayleigh", context)
    result = air.send(scenes, 12, "1/6", seed=1)
    assert result.label_probabilities.shape == (len(scenes), CLASSES, 32, 64) and result.labels.shape == (len(scenes), 32, 64)
    shown = torch.where(result.label_probabilities.amax(dim=1) > 1.0 / CLASSES, result.label_probabilities.argmax(dim=1), UNKNOWN)
    assert torch.equal(shown, result.labels)
