"""The antennas' stage: power, streams, noise levels and error rates of every scheme, as a chain would use it."""

import math

import numpy as np
import pytest
import torch

from channels import theory
from channels.awgn import AWGN
from channels.base import Sender
from channels.mimo import MIMO
from channels.modulation import QAM

SIGMAS = 4.5
EVERY = [
    MIMO(scheme="multiplexing", transmit_antennas=2, receive_antennas=2),
    MIMO(scheme="multiplexing", transmit_antennas=2, receive_antennas=3, detector="zf"),
    MIMO(scheme="mrc", transmit_antennas=1, receive_antennas=4),
    MIMO(scheme="alamouti", transmit_antennas=2, receive_antennas=1),
    MIMO(scheme="alamouti", transmit_antennas=2, receive_antennas=2),
    MIMO(scheme="svd", transmit_antennas=3, receive_antennas=2),
    MIMO(scheme="svd", transmit_antennas=2, receive_antennas=2, water_filling=True),
    MIMO(scheme="svd", transmit_antennas=4, receive_antennas=4, streams=2),
]


def name(description: MIMO) -> str:
    return f"{description.scheme}-{description.transmit_antennas}x{description.receive_antennas}-{description.detector}"


def normal(shape, seed: int) -> torch.Tensor:
    pairs = np.random.default_rng(seed).standard_normal((*shape, 2), dtype=np.float32)
    return torch.view_as_complex(torch.from_numpy(pairs)) * math.sqrt(0.5)


class Passage:
    """Symbols through a prepared stage over independent Rayleigh gains that hold for ``block`` elements each."""

    def __init__(self, description: MIMO, x: torch.Tensor, snr: float, power=1.0, block: int = 1, seed: int = 0):
        stage = description.build()
        rows, _, d = x.shape
        h = normal((rows, stage.receive, stage.transmit, -(-d // block)), seed)
        h = h.repeat_interleave(block, dim=3)[..., :d] if block < d else h.expand(-1, -1, -1, d)
        self.sender = Sender(torch.full((rows, 1, 1), 1 / snr), h if stage.csit else None)
        self.power = torch.as_tensor(power, dtype=torch.float32).broadcast_to(1, x.shape[1], d)
        self.sent = stage.precode(x * self.power.sqrt(), self.sender)
        y = torch.einsum("brtd,btd->brd", h, self.sent) + normal((rows, stage.receive, d), seed + 1) / math.sqrt(snr)
        self.h, self.y, self.stage, self.noise_var = h, y, stage, torch.full((rows, 1, 1), 1 / snr)
        self.x_hat, self.variance = stage.detect(y, h, self.noise_var, self.power, self.sender)


@pytest.mark.parametrize("description", EVERY, ids=name)
def test_total_power_is_that_of_the_streams(description):
    d = 20_000
    passage = Passage(description, normal((1, description.carried, d), 1), snr=3.0)
    assert passage.sent.shape == (1, description.transmit_antennas, d)
    total = passage.sent.abs().square().sum(dim=1)
    assert abs(float(total.mean()) - 1) < SIGMAS * float(total.std()) / math.sqrt(d)


@pytest.mark.parametrize("block", [1, 2, 10**6])
@pytest.mark.parametrize("description", EVERY, ids=name)
def test_streams_come_back_unbiased_with_their_noise_level(description, block):
    """In each fifth of the stated level the normalised error has variance 1 and is uncorrelated with what was sent;
    two powers in one burst are told apart."""
    rows, d = 600, 40
    power = torch.cat([torch.full((16,), 1.0), torch.full((24,), 0.25)])
    x = normal((rows, description.carried, d), 2)
    passage = Passage(description, x, 4.0, power, block)
    assert passage.x_hat.shape == passage.variance.shape == x.shape
    sent = (x * passage.power.sqrt()).flatten()
    known = passage.variance.flatten().isfinite()
    assert bool(known.all()) != (description.water_filling)
    error = ((passage.x_hat.flatten() - sent) / passage.variance.flatten().sqrt())[known].to(torch.complex128)
    held = description.carried * (d if block > d else 2)  # streams of a use, a pair's symbols and uses of one gain may share a residual
    for group in passage.variance.flatten()[known].argsort().chunk(5):
        power_of = error[group].abs().square()
        assert abs(float(power_of.mean()) - 1) < SIGMAS * float(power_of.std()) * math.sqrt(held / len(group))
        product = error[group] * (sent[known] / passage.power.expand(x.shape).flatten()[known].sqrt())[group].conj()
        assert abs(complex(product.mean())) < SIGMAS * math.sqrt(held / len(group))


@pytest.mark.parametrize("description", EVERY, ids=name)
def test_gains_kept_once_give_what_gains_kept_for_every_element_do(description):
    x = normal((3, description.carried, 12), 3)
    once = Passage(description, x, 5.0, block=10**6)
    every = once.stage.detect(once.y, once.h.contiguous(), once.noise_var.expand(-1, once.y.shape[1], 12).contiguous(), once.power, once.sender)
    short = once.stage.detect(once.y, once.h[..., :1], once.noise_var, once.power, once.sender)
    for found in (every, short):
        torch.testing.assert_close(found[0], once.x_hat, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(found[1].broadcast_to(once.variance.shape), once.variance, rtol=1e-4, atol=0)


@pytest.mark.parametrize("m, snr_db", [(2, 8.0), (4, 13.0)])
@pytest.mark.parametrize("description", [e for e in EVERY if e.scheme in ("mrc", "alamouti") or e.detector == "zf"], ids=name)
def test_error_rates_are_the_closed_forms(description, m, snr_db):
    d, snr, qam = 40_000, 10 ** (snr_db / 10), QAM(m)
    bits = torch.from_numpy(np.random.default_rng(4).integers(0, 2, (1, m * d * description.carried), dtype=np.uint8))
    x = qam.modulate(bits).reshape(1, d, description.carried).mT
    together = 2 if description.scheme == "alamouti" else 1
    passage = Passage(description, x, snr, block=together)
    llr = qam.llrs(passage.x_hat.mT.reshape(1, -1), passage.variance.mT.reshape(1, -1))
    rate = float(((llr > 0) != bits.bool()).double().mean())
    transmit, receive = description.transmit_antennas, description.receive_antennas
    expected = float(
        {
            "mrc": lambda: theory.ber_mrc(m, snr, receive),
            "alamouti": lambda: theory.ber_alamouti(m, snr, receive),
            "multiplexing": lambda: theory.ber_zero_forcing(m, snr, transmit, receive),
        }[description.scheme]()
    )
    # symbols that meet one gain share it: count gains
    assert abs(rate - expected) < SIGMAS * math.sqrt(expected * (1 - expected) / (d / together))


def test_multiplexing_of_one_antenna_is_the_flat_channel():
    x = normal((4, 1, 30), 5)
    passage = Passage(MIMO(scheme="multiplexing", transmit_antennas=1, receive_antennas=1), x, 2.0)
    h = passage.h[:, 0, 0]
    torch.testing.assert_close(passage.x_hat[:, 0], passage.y[:, 0] / h, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(passage.variance[:, 0], 0.5 / h.abs().square(), rtol=1e-5, atol=0)


def test_eigenmodes_carry_the_capacity_of_their_channel():
    """Sum of log2(1 + SINR) over unmixed streams: log2 det(I + SNR/T H H^H) at equal power where streams use all antennas, and
    more by water-filling at low SNR."""
    for snr in (0.2, 20.0):
        rates = []
        for fills in (False, True):
            description = MIMO(scheme="svd", transmit_antennas=2, receive_antennas=2, water_filling=fills)
            passage = Passage(description, normal((2000, 2, 2), 6), snr, block=2)
            rates.append(torch.log2(1 + 1 / passage.variance[..., 0].double()).sum(dim=1))
        h = passage.h[..., 0].to(torch.complex128)
        capacity = torch.logdet(torch.eye(2, dtype=h.dtype) + snr / 2 * h @ h.mH).real / math.log(2)
        torch.testing.assert_close(rates[0], capacity, rtol=1e-4, atol=1e-5)
        assert bool((rates[1] >= rates[0] - 1e-4).all())
        assert abs(float(capacity.mean()) - theory.ergodic_capacity_mimo(snr, 2, 2)) < SIGMAS * float(capacity.std()) / math.sqrt(2000)


def test_gains_of_the_transmitters_hardware_do_not_mix_eigenmodes():
    """The receiver hears H times the gains of two amplifiers, the transmitter knew H: the detector is told both."""
    stage = MIMO(scheme="svd").build()
    h, x = normal((5, 2, 2, 8), 7), normal((5, 2, 8), 8)
    sender = Sender(torch.full((5, 1, 1), 1e-8), h)
    heard = h * torch.tensor([0.9, 0.7 * np.exp(0.3j)], dtype=torch.complex64)[:, None]
    y = torch.einsum("brtd,btd->brd", heard, stage.precode(x, sender))
    x_hat, _ = stage.detect(y, heard, torch.full((5, 1, 1), 1e-8), torch.ones(1, 2, 8), sender)
    torch.testing.assert_close(x_hat, x, rtol=0, atol=2e-3)


@pytest.mark.parametrize("description", EVERY, ids=name)
def test_what_was_not_heard_or_not_sent_is_lost(description):
    d = 6
    x = normal((2, description.carried, d), 9)
    passage = Passage(description, x, 10.0)
    noise_var = passage.noise_var.expand(-1, 1, d).clone()
    noise_var[:, :, 2:4] = math.inf  # erased
    x_hat, variance = passage.stage.detect(passage.y, passage.h, noise_var, passage.power, passage.sender)
    assert bool(variance[..., 2:4].isinf().all()) and bool((x_hat[..., 2:4] == 0).all())
    torch.testing.assert_close(variance[..., :2], passage.variance[..., :2], rtol=1e-5, atol=0)
    silent = passage.power.clone()
    silent[..., 4:] = 0
    x_hat, variance = passage.stage.detect(passage.y, passage.h, passage.noise_var, silent, passage.sender)
    assert bool(variance[..., 4:].isinf().all()) and bool(torch.isfinite(torch.view_as_real(x_hat)).all())
    if not passage.stage.csit:
        x_hat, variance = passage.stage.detect(passage.y, 0 * passage.h, passage.noise_var, passage.power, passage.sender)
        assert bool(variance.isinf().all()) and bool((x_hat == 0).all())


def test_estimation_error_is_noise_that_the_detector_weighs():
    """h = estimate + e, e ~ CN(0, v): with v times the total power in noise_var the level is honest for every detector."""
    rows, d, snr, v = 400, 50, 10.0, 0.05
    for detector in ("zf", "lmmse"):
        stage = MIMO(detector=detector, receive_antennas=3).build()
        x, estimate, error = normal((rows, 2, d), 10), normal((rows, 3, 2, 1), 11) * math.sqrt(1 - v), normal((rows, 3, 2, d), 12) * math.sqrt(v)
        sender = Sender(torch.full((rows, 1, 1), 1 / snr))
        y = torch.einsum("brtd,btd->brd", estimate + error, stage.precode(x, sender)) + normal((rows, 3, d), 13) / math.sqrt(snr)
        x_hat, variance = stage.detect(y, estimate, torch.full((rows, 1, 1), 1 / snr + v), torch.ones(1, 2, d), sender)
        normalised = ((x_hat - x).abs().square() / variance).mean(dim=(1, 2))
        assert abs(float(normalised.mean()) - 1) < SIGMAS * float(normalised.std()) / math.sqrt(rows)


@pytest.mark.parametrize(
    "fields, sentence",
    [
        ({"transmit_antennas": 3, "receive_antennas": 2}, "3 streams over 3 transmit and 2 receive antennas, which can separate 2"),
        ({"scheme": "svd", "streams": 3}, "3 streams over 2 transmit and 2 receive antennas, which can separate 2"),
        ({"scheme": "mrc"}, "scheme mrc has one transmit antenna, not 2"),
        ({"scheme": "alamouti", "transmit_antennas": 4}, "scheme alamouti has two transmit antennas, not 4"),
        ({"streams": 2}, "streams: 2 beside scheme multiplexing, which carries 2"),
        ({"scheme": "alamouti", "water_filling": True}, "water_filling beside scheme alamouti"),
    ],
)
def test_impossible_antennas_are_refused_with_the_numbers(fields, sentence):
    description = MIMO(**fields)
    assert sentence in description.conflict([description, AWGN()])
    with pytest.raises(ValueError, match="antenna|scheme"):
        description.build()


def test_every_scheme_that_is_offered_is_possible():
    for description in EVERY:
        assert description.conflict([description, AWGN()]) is None
        stage = description.build()
        assert stage.streams == description.carried and stage.csit == (description.scheme == "svd")
        assert bool(description.assumed()) == stage.csit
