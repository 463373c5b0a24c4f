"""QAM: energy, labels, exact LLRs, noise variance, and torch's generators left alone."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch

from channels.modulation import BITS_PER_SYMBOL, QAM


def all_labels(bits_per_symbol: int) -> torch.Tensor:
    index = torch.arange(2**bits_per_symbol)[:, None]
    return ((index >> torch.arange(bits_per_symbol - 1, -1, -1)) & 1).to(torch.uint8)


@pytest.mark.parametrize("m", BITS_PER_SYMBOL)
def test_constellation_has_unit_energy_and_gray_labels(m):
    labels = all_labels(m)
    points = QAM(m).modulate(labels)[:, 0]
    assert points.dtype == torch.complex64
    assert float(points.abs().square().mean()) == pytest.approx(1.0, abs=1e-5)
    distance = (points[:, None] - points[None, :]).abs() + 1e3 * torch.eye(len(points))
    neighbours = distance < distance.min() * 1.001
    differing = (labels[:, None] != labels[None, :]).sum(dim=-1)
    assert bool((differing[neighbours] == 1).all())


@pytest.mark.parametrize("m", BITS_PER_SYMBOL)
def test_llrs_are_bayes_rule(m):
    """ln of sums of likelihoods over all labelled points, in double precision; one noise variance a symbol."""
    rng = np.random.default_rng(m)
    y = rng.standard_normal((2, 9)) + 1j * rng.standard_normal((2, 9))
    variance = rng.uniform(0.05, 2.0, (2, 9))
    labels, points = all_labels(m).numpy().astype(bool), QAM(m).modulate(all_labels(m))[:, 0].numpy().astype(complex)
    log_p = -np.abs(y[..., None] - points) ** 2 / variance[..., None]
    expected = np.stack(
        [np.logaddexp.reduce(log_p[..., b], axis=-1) - np.logaddexp.reduce(log_p[..., ~b], axis=-1) for b in labels.T], axis=-1
    )
    llr = QAM(m).llrs(torch.from_numpy(y).to(torch.complex64), torch.from_numpy(variance).float())
    assert llr.dtype == torch.float32
    np.testing.assert_allclose(llr.numpy(), expected.reshape(2, -1), rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("m", BITS_PER_SYMBOL)
def test_clean_symbols_give_their_bits_and_lost_ones_no_opinion(m):
    bits = torch.from_numpy(np.random.default_rng(0).integers(0, 2, (3, 50 * m), dtype=np.uint8))
    qam = QAM(m)
    x = qam.modulate(bits)
    assert torch.equal((qam.llrs(x, 1e-3) > 0).to(torch.uint8), bits)
    assert not qam.llrs(x, math.inf).any()
    rows = torch.tensor([[1e-3], [math.inf], [1e-3]])
    assert torch.equal(qam.llrs(x, rows).abs().sum(dim=1) > 0, torch.tensor([True, False, True]))


def test_importing_and_using_the_physical_layer_leaves_global_generators_alone():
    code = """
import random, sys
import numpy as np, torch
torch.manual_seed(5); np.random.seed(5); random.seed(5)
before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
from fractions import Fraction
from channels.fec import TransportBlock
from channels.modulation import QAM
assert "sionna" not in sys.modules and "scipy" not in sys.modules
frame = TransportBlock(200, Fraction(1, 2), 2)
qam = QAM(2)
frame.decode(qam.llrs(qam.modulate(frame.encode(torch.zeros((1, frame.payload_bits), dtype=torch.uint8))), 0.1))
assert "sionna" in sys.modules
assert torch.equal(before[0], torch.get_rng_state())
assert (before[1] == np.random.get_state()[1]).all() and before[2] == random.getstate()
"""
    subprocess.run([sys.executable, "-c", code], check=True)
