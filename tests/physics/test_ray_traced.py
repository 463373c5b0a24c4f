"""Traced impulse responses: a file is enough, a worker's failure is a sentence, the physics is that of its paths."""

import json
import math
import sys

import numpy as np
import pytest
import torch

from channels import impulse_response
from channels.base import Draw
from channels.impulse_response import ImpulseResponse, Request, trace, write
from channels.ofdm import OFDM
from channels.ray_traced import RayTraced

REQUEST = Request("munich", (8.5, 21.0, 27.0), (44.0, 95.0, 1.5), 3.5, 5)
TRACED = {"scene": "munich", "transmitter": (8.5, 21.0, 27.0), "receiver": (44.0, 95.0, 1.5)}
FAKE = """
import json, sys
import numpy as np
from pathlib import Path
from channels.impulse_response import Request, write
request = Request.from_json(json.loads(sys.argv[1]))
write(Path(sys.argv[2]), request, np.array([1e-5, 5e-6j]), np.array([3e-7, 8e-7]), np.full((4, 2), 1.5))
"""


@pytest.fixture
def file(tmp_path):
    rng = np.random.default_rng(0)
    gains = 1e-5 * (rng.standard_normal(5) + 1j * rng.standard_normal(5))
    write(tmp_path / "link.npz", REQUEST, gains, 1e-7 + 1e-6 * rng.random(5), rng.uniform(0.5, 2.5, (4, 5)))
    return tmp_path / "link.npz"


def draws(count, seed=0):
    return [Draw(np.random.default_rng([seed, row]), 0.5) for row in range(count)]


def test_a_file_alone_suffices_and_its_power_is_1(file):
    n, channel = 3000, RayTraced(file=str(file), speed_kmh=50).build()
    grid = OFDM().build().layout(57 * 5).grid
    h = channel.elements(grid, 2, 2, draws(n))
    assert h.shape == (n, 2, 2, grid.elements)
    power = h[..., 7].abs().square().mean(dim=0)
    assert float((power - 1).abs().max()) < 5 / math.sqrt(n)
    assert channel.delays.min() == 0.0 and channel.powers.sum() == pytest.approx(1.0)
    elements = np.arange(0, grid.elements, 31)
    some = h[:, 0, 0, elements].numpy().astype(complex)
    measured = some.T @ some.conj() / n
    assert np.abs(measured - channel.covariance(grid, elements, elements)).max() < 5 * math.sqrt(2 / n)


def test_time_and_frequency_domain_agree_for_a_receiver_at_rest(file):
    grid = OFDM().build().layout(57 * 3).grid
    x = torch.randn(2, 1, grid.elements, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    frequency, time = (RayTraced(file=str(file), domain=d).build() for d in ("frequency", "time"))
    h = frequency.elements(grid, 1, 1, draws(2))
    y, leak = time.carry(x, h, grid, time.draw(grid, 1, 1, draws(2)))
    torch.testing.assert_close(y, (h * x[:, None])[:, :, 0], rtol=0, atol=1e-5)
    assert float(leak.max()) < 1e-12


def test_draws_do_not_depend_on_speed(file):
    still, fast = (RayTraced(file=str(file), speed_kmh=v).build().multipath((1, 1), draws(3)) for v in (0, 100))
    assert torch.equal(still.amplitude, fast.amplitude)


def test_the_tracer_runs_in_a_process_of_its_own_and_its_file_is_kept(tmp_path, monkeypatch):
    (tmp_path / "worker.py").write_text(FAKE)
    monkeypatch.setattr("channels.ray_traced.tracer_is_installed", lambda: True)
    target = tmp_path / "new" / "link.npz"
    monkeypatch.setattr(
        "channels.ray_traced.trace", lambda request, path: trace(request, path, (sys.executable, str(tmp_path / "worker.py")))
    )
    monkeypatch.setenv("PYTHONPATH", str(impulse_response.__file__).rsplit("/channels/", 1)[0])
    description = RayTraced(file=str(target), **TRACED)
    before = description.identity()
    assert description.build().powers == pytest.approx([0.8, 0.2])
    assert ImpulseResponse.read(target).request == REQUEST
    monkeypatch.setattr("channels.ray_traced.trace", lambda request, path: pytest.fail("traced again"))
    assert description.build().delays == pytest.approx([0.0, 5e-7])
    assert description.identity() == before  # the file is a cache: it changes no number


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os; os.abort()", "ended by SIGABRT.*DRJIT_LIBLLVM_PATH"),
        ("raise RuntimeError('LLVM not found')", "RuntimeError: LLVM not found; Dr.Jit needs"),
        ("raise SystemExit('no path leads there')", "could not trace scene 'munich': no path leads there$"),
        ("pass", "wrote no"),
    ],
)
def test_a_worker_that_fails_is_told_in_a_sentence(tmp_path, code, words):
    with pytest.raises(ValueError, match=words):
        trace(REQUEST, tmp_path / "link.npz", (sys.executable, "-c", code))


def test_without_sionna_rt_a_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("channels.ray_traced.tracer_is_installed", lambda: False)
    description = RayTraced(file=str(tmp_path / "none.npz"), **TRACED)
    with pytest.raises(ValueError, match=r"Sionna RT is not installed: pip install 'semcom\[ray-tracing\]'"):
        description.build()
    assert description.conflict([OFDM(), description]) is None  # it may run elsewhere
    with pytest.raises(ValueError, match="there is no file"):
        RayTraced(file=str(tmp_path / "none.npz")).build()


def test_files_that_hold_something_else_are_refused(file, tmp_path):
    other = RayTraced(file=str(file), **{**TRACED, "receiver": (0.0, 0.0, 1.5)})
    with pytest.raises(ValueError, match="name another file, or delete it"):
        other.build()
    assert "name another file" in other.conflict([OFDM()])
    assert RayTraced(file=str(file), **TRACED).conflict([OFDM()]) is None
    assert "beyond the cyclic prefix" in RayTraced(file=str(file)).conflict([OFDM(cyclic_prefix=0)])
    (tmp_path / "bad.npz").write_text("text")
    with pytest.raises(ValueError, match="is no file of impulse responses"):
        RayTraced(file=str(tmp_path / "bad.npz")).build()
    with pytest.raises(ValueError, match="belong together"):
        RayTraced(file="x", scene="munich")


def test_a_file_is_identified_by_its_content(file, tmp_path):
    copy = tmp_path / "copy.npz"
    copy.write_bytes(file.read_bytes())
    assert RayTraced(file=str(file)).identity() == RayTraced(file=str(copy)).identity()
    write(copy, REQUEST, np.ones(1), np.zeros(1), np.ones((4, 1)))
    assert RayTraced(file=str(file)).identity() != RayTraced(file=str(copy)).identity()
    assert json.loads(REQUEST.to_json())["scene"] == "munich"
