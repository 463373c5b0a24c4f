"""Traced impulse responses: a file is enough, a worker's failure is a sentence, the physics is that of its paths."""

import json
import math
import os
import sys

import numpy as np
import pytest
import torch

from channels.base import Draw
from channels.chain import Chain
from channels.impulse_response import INTERPRETER, ImpulseResponse, Request, trace, tracer, write
from channels.multipath import SPEED_OF_LIGHT
from channels.ofdm import OFDM
from channels.ray_traced import RayTraced

REQUEST = Request("munich", (8.5, 21.0, 27.0), (44.0, 95.0, 1.5), 3.5, 5)
TRACED = {"scene": "munich", "transmitter": (8.5, 21.0, 27.0), "receiver": (44.0, 95.0, 1.5)}
#: A Sionna RT of two paths, of single precision as the real one.
FAKE = """
import numpy as np
class scene:
    munich = "munich.xml"
def load_scene(file):
    assert file == "munich.xml"
    return World()
class World:
    def add(self, device):
        assert not hasattr(self, device["name"])
        setattr(self, device["name"], device["position"])
def Transmitter(**device): return device
def Receiver(**device): return device
def PlanarArray(**array): return array
class PathSolver:
    def __call__(self, scene, max_depth, synthetic_array, seed):
        assert (scene.tx, scene.rx, scene.frequency, max_depth) == ([8.5, 21.0, 27.0], [44.0, 95.0, 1.5], 3.5e9, 5)
        return Paths()
class Paths:
    phi_t = phi_r = theta_t = theta_r = np.full((1, 1, 3), 1.5, np.float32)
    def cir(self, normalize_delays, out_type):
        gains = np.array([1e-5, 5e-6j, 0], np.complex64)
        return gains.reshape(1, 1, 1, 1, 3, 1), np.array([[[3e-7, 8e-7, -1]]], np.float32)
"""


def fake_sionna(folder):
    """A folder to put on PYTHONPATH."""
    (folder / "sionna" / "rt").mkdir(parents=True)
    (folder / "sionna" / "__init__.py").write_text("")
    (folder / "sionna" / "rt" / "__init__.py").write_text(FAKE)
    return str(folder)


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
    monkeypatch.setenv(INTERPRETER, sys.executable)
    monkeypatch.setenv("PYTHONPATH", fake_sionna(tmp_path / "env"))
    target = tmp_path / "new" / "link.npz"
    description = RayTraced(file=str(target), **TRACED)
    before = description.identity()
    channel = description.build()
    assert channel.powers == pytest.approx([0.8, 0.2], rel=1e-6) and channel.powers.sum() == pytest.approx(1.0, abs=1e-15)
    assert [path.name for path in target.parent.iterdir()] == ["link.npz"]
    assert ImpulseResponse.read(target).request == REQUEST
    monkeypatch.setattr("channels.ray_traced.trace", lambda *given: pytest.fail("traced again"))
    assert description.build().delays == pytest.approx([0.0, 5e-7], rel=1e-6)
    assert description.identity() == before  # the file is a cache: it changes no number


def test_what_a_traced_file_turns_out_to_hold_is_checked_before_anything_is_sent(tmp_path, monkeypatch):
    monkeypatch.setenv(INTERPRETER, sys.executable)
    monkeypatch.setenv("PYTHONPATH", fake_sionna(tmp_path / "env"))
    chain = Chain(stages=(OFDM(cyclic_prefix=0), RayTraced(file=str(tmp_path / "link.npz"), **TRACED)))
    with pytest.raises(ValueError, match="after 0.5 us, beyond the cyclic prefix"):
        chain.build()


def test_the_interpreter_of_another_environment_is_named_by_a_variable(tmp_path, monkeypatch):
    monkeypatch.setenv(INTERPRETER, str(tmp_path / "none"))
    with pytest.raises(ValueError, match="SIONNA_RT_PYTHON is '.*none', which is no program; set it to the interpreter of"):
        RayTraced(file=str(tmp_path / "link.npz"), **TRACED).build()
    monkeypatch.setenv(INTERPRETER, sys.executable)
    monkeypatch.setenv("PYTHONPATH", fake_sionna(tmp_path / "env"))
    with pytest.raises(ValueError, match="there is no such scene; name a scene file .* or one of munich$"):
        trace(Request("berlin", (0.0, 0.0, 1.0), (1.0, 0.0, 1.0), 3.5, 5), tmp_path / "link.npz", tracer())
    (tmp_path / "env" / "sionna" / "rt" / "__init__.py").write_text("import no_such_package")
    with pytest.raises(ValueError, match="No module named 'no_such_package'; it ran in '.*', install sionna-rt there$"):
        trace(REQUEST, tmp_path / "link.npz", tracer())
    assert not list(tmp_path.glob("*.npz"))


def has_sionna_rt():
    """Not `tracer` alone: a variable that names no program is a failure of the test that needs it."""
    return bool(os.environ.get(INTERPRETER)) or tracer() is not None


@pytest.mark.skipif(not has_sionna_rt(), reason=f"needs Sionna RT: set {INTERPRETER} to the Python of an environment that has it")
def test_the_line_of_sight_that_sionna_rt_traces_is_friis(tmp_path):
    """Free space: gain lambda / (4 pi d) and delay d / c; single precision has 24 bits."""
    file, transmitter, receiver = tmp_path / "canyon.npz", (-33.0, 0.0, 32.0), (20.0, 0.0, 1.5)
    given = {"scene": "simple_street_canyon", "transmitter": transmitter, "receiver": receiver, "max_depth": 3}
    channel = RayTraced(file=str(file), **given).build()
    distance = math.dist(transmitter, receiver)
    with np.load(file) as raw:
        gains, delays, angles = raw["gains"], raw["delays"], raw["angles"]
    first = int(delays.argmin())
    assert delays[first] == pytest.approx(distance / SPEED_OF_LIGHT, rel=1e-6)
    assert abs(gains[first]) == pytest.approx(SPEED_OF_LIGHT / 3.5e9 / (4 * math.pi * distance), rel=1e-5)
    assert angles[2, first] == pytest.approx(math.acos((receiver[2] - transmitter[2]) / distance), abs=1e-5)  # zenith of departure
    assert len(channel.delays) > 1 and channel.powers.sum() == pytest.approx(1.0)


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
    monkeypatch.setattr("channels.ray_traced.tracer", lambda: None)
    description = RayTraced(file=str(tmp_path / "none.npz"), **TRACED)
    with pytest.raises(ValueError, match=r"not installed: set SIONNA_RT_PYTHON to .*'semcom\[ray-tracing\]'"):
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
    for content in (b"text", b"", file.read_bytes()[:200]):  # of something else, empty, cut off
        (tmp_path / "bad.npz").write_bytes(content)
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
