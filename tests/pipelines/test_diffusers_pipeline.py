"""Pipelines of Stable Diffusion as receivers: what they are fed with, how strongly, what is random, and what is said when files are missing."""

import math
from types import SimpleNamespace

import pytest
import torch

from semcom.classes import COLOURS, NAMES, UNKNOWN, VOID
from semcom.errors import ScenarioError, WeightsError
from semcom.models.palettes import PALETTES, painted
from semcom.models.pipelines import NamedPipeline
from semcom.protocols import Context
from semcom.receive.diffusers_pipeline import DiffusersPipeline
from semcom.registry import parse
from semcom.rng import Streams
from semcom.system import System
from semcom.types import ImageBatch, ReceivedReals

SIZE = (32, 48)
ROWS = 3


@pytest.fixture(scope="module")
def images():
    coarse = torch.rand(ROWS, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    labels = torch.zeros((ROWS, *SIZE), dtype=torch.int64)
    labels[:, SIZE[0] // 2 :] = NAMES.index("road")
    return ImageBatch(torch.nn.functional.interpolate(coarse, SIZE, mode="bicubic").clamp(0, 1), tuple("abc"), labels)


def described(tiny, **fields):
    return DiffusersPipeline(**{"pipeline": tiny["pipeline"], "steps": 4, "guidance": 1.0, "short_side": None, "prompt": "road", **fields})


class Start:
    """A plain receiver that shows the pictures it is given."""

    def __init__(self, pixels, ok):
        self.pixels, self.ok = pixels, ok

    def decode(self, received, streams):
        return SimpleNamespace(pixels=self.pixels[: len(streams)], ok=self.ok[: len(streams)])


def message(noise=(0.1, 0.1, 0.1), reals=64):
    levels = torch.tensor(noise)[:, None].expand(-1, reals)
    part = ReceivedReals(torch.zeros(len(noise), reals), levels, (1, 8, 8), torch.ones(len(noise), dtype=torch.bool))
    return SimpleNamespace(parts={"values": part}, image_size=SIZE)


def receiver(tiny, images, ok=(True,) * ROWS, **fields):
    made = described(tiny, start="softcast", **fields).build(Context())
    made.start = Start(images.pixels, torch.tensor(ok))
    return made


def test_strength_auto_leaves_the_share_of_error_that_the_channel_left(tiny, images):
    """1 - a of the step that is started from is the message's mean s^2 / (1 + s^2), to within a step of the schedule."""
    made = receiver(tiny, images)
    levels = (0.0, 0.3, 1.0)
    strengths = made._strengths(message(levels), ROWS)
    left = 1.0 - made.pipe.scheduler.alphas_cumprod
    assert strengths.tolist() == sorted(strengths.tolist()) and float(strengths[0]) == 0.0
    for level, strength in zip(levels[1:], strengths.tolist()[1:], strict=True):
        at = round(strength * len(left))
        assert float(left[at - 1]) <= level**2 / (1 + level**2) <= float(left[at])
    assert made._strengths(message((math.inf,)), 1).tolist() == [1.0]
    with pytest.raises(ScenarioError, match="strength is auto and no real numbers arrived"):
        made._strengths(SimpleNamespace(parts={}), 1)


def test_a_clean_picture_is_shown_as_it_is_and_a_noisy_one_is_made_anew(tiny, images):
    streams = Streams.of(images.ids).for_system("s")
    made = receiver(tiny, images).decode(message((0.0, 1.0, math.inf)), streams)
    assert bool(made.ok.all()) and torch.equal(made.pixels[0], images.pixels[0])
    assert float((made.pixels[1:] - images.pixels[1:]).abs().mean()) > 0.01
    lost = receiver(tiny, images, ok=(True, False, True)).decode(message(), streams)
    assert lost.ok.tolist() == [True, False, True] and bool((lost.pixels[1] == 0.5).all())


def test_pictures_are_the_decoders_streams_alone(tiny, images):
    """Another system's stream is another picture; a row is the same alone and among others; samples differ."""
    made, streams = receiver(tiny, images, strength=1.0, samples=2), Streams.of(images.ids).for_system("s")
    together, again, other = (made.decode(message(), s) for s in (streams, streams, streams.for_system("t")))
    assert torch.equal(together.pixels, again.pixels) and not torch.equal(together.pixels, other.pixels)
    alone = made.decode(message((0.1,)), streams.select([0]))
    torch.testing.assert_close(alone.pixels, together.pixels[:1], rtol=0, atol=1e-4)
    assert together.samples.shape == (ROWS, 2, 3, *SIZE) and together.uncertainty.shape == (ROWS, *SIZE)
    assert float(together.uncertainty.mean()) > 1e-3


def test_a_received_map_is_painted_for_the_controlnet(tiny, images):
    """A whole system over bits: map alone, and map with a start; another map is another picture."""
    transmit = {"kind": "oracle_map"}
    link = {"kind": "digital", "mcs": "qpsk-1/2"}
    fields = {"kind": "diffusers_pipeline", "pipeline": tiny["pipeline"], "controlnet": tiny["controlnet"], "steps": 2, "guidance": 2.0, "short_side": None, "prompt": "street"}
    system = System.of(transmit, link, fields)
    result = system.send(images, 20.0, "1/3")
    assert bool(result.ok.all()) and torch.equal(result.labels, images.labels)
    upside_down = ImageBatch(images.pixels, images.ids, images.labels.flip(1))
    assert float((system.send(upside_down, 20.0, "1/3").pixels - result.pixels).abs().max()) > 1e-3
    lost = system.send(images, -20.0, "1/3")
    assert not lost.ok.any() and bool((lost.pixels == 0.5).all())
    both = System.of(transmit, link, {**fields, "start": "map_as_is", "strength": 0.5, "palette": "cityscapes"})
    assert bool(both.send(images, 20.0, "1/3").pixels.isfinite().all())


def test_the_pipeline_works_at_a_size_of_its_own(tiny, images):
    made = receiver(tiny, images, short_side=64)
    assert made._inside(SIZE) == (64, 96) and made._inside((33, 50)) == (64, 96)
    assert receiver(tiny, images, strength=1.0, short_side=64).decode(message(), Streams.of(images.ids)).pixels.shape == (ROWS, 3, *SIZE)


@pytest.mark.parametrize("palette", PALETTES)
def test_every_class_has_a_colour_of_its_own_and_the_unknown_is_black(palette):
    labels = torch.tensor([[[*range(VOID), VOID, UNKNOWN]]])
    colours = (painted(labels, palette)[0, :, 0].T * 255).round().int().tolist()
    assert len({tuple(colour) for colour in colours}) == VOID + 1 and colours[VOID] == colours[-1] == [0, 0, 0]
    assert len(COLOURS) == VOID + 1 and set(PALETTES[palette]) == set(NAMES)


def test_what_does_not_fit_is_said_in_a_sentence(tiny):
    with pytest.raises(ValueError, match="neither start nor controlnet is given"):
        described(tiny)
    with pytest.raises(ValueError, match="palette is given and controlnet is not"):
        described(tiny, start="vae", palette="cityscapes")
    with pytest.raises(ValueError, match="expected auto, or a number above 0"):
        described(tiny, start="vae", strength=0.0)
    codec = parse("transmit", "image_codec")
    assert "give `strength` a number" in described(tiny, start="image_codec").fits(codec)
    assert described(tiny, start="image_codec", strength=0.3).fits(codec) is None
    assert "does not understand transmit 'image_codec'" in described(tiny, start="vae", strength=0.3).fits(codec)
    assert "transmit 'image_codec' sends none" in described(tiny, controlnet=tiny["controlnet"]).fits(codec)


def test_missing_files_are_said_in_a_sentence(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.delenv("SEMCOM_DOWNLOAD", raising=False)
    commit = "0" * 40
    sentence = described(tiny, pipeline="someone/something", revision=commit, start="vae").available()
    assert f"'someone/something' at {commit} is not in '{tmp_path}' and downloads are off" in sentence
    assert "get model_index.json and the folders that it names" in sentence and "put them into a folder and name that folder" in sentence
    assert "without a pinned commit" in described(tiny, pipeline="someone/something", start="vae").available()
    assert "there is no pipeline 'nothing here'" in described(tiny, pipeline="nothing here", start="vae").available()
    assert "holds no model_index.json" in described(tiny, pipeline=str(tmp_path), start="vae").available()
    (tmp_path / "model_index.json").write_text('{"_class_name": "StableDiffusionXLPipeline", "text_encoder_2": []}')
    with pytest.raises(WeightsError, match="is a StableDiffusionXLPipeline; expected a pipeline of the family of Stable Diffusion 1 or 2"):
        NamedPipeline(str(tmp_path)).folders()
    there = described(tiny, start="vae")
    assert there.available() is None and there.identity()["files"] != described(tiny, start="vae", pipeline="x").identity()["files"]
