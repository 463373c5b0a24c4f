"""Segmenters: what they give at any size, what is kept of them in a file, and how they are named."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from semcom.errors import WeightsError
from semcom.models import storage, weights
from semcom.models.eight_bit import SCALE
from semcom.models.segmenter import NAMES, OURS, Segmenter, identity, named
from semcom.models.segmenter.classes import COLOURS, THEIRS
from semcom.source import camvid, cityscapes
from semcom.train.optimise import seeded

TINY = {"architecture": "Linknet", "encoder": "tu-test_resnet", "depth": 3}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def made(**changes):
    """A tiny segmenter that has seen a few pictures, so that its running statistics are not those it starts with."""
    with seeded("segmenter"):
        net = Segmenter(**{**TINY, **changes}).train()
        with torch.no_grad():
            for _ in range(3):
                net(torch.rand(4, 3, 32, 64))
    return net.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def tiny():
    return made()


def picture(height=40, width=72, count=2):
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(4))


def test_the_classes_are_camvids_and_every_class_of_cityscapes_has_a_meaning():
    assert (*NAMES, "void") == camvid.NAMES and len(COLOURS) == len(camvid.NAMES) and set(THEIRS) == set(NAMES)
    assert set(cityscapes.TRAIN_IDS) <= set(OURS)
    assert sum(len({ours, *theirs}) for ours, theirs in THEIRS.items()) == len(OURS)  # no name means two of ours


@pytest.mark.parametrize("size", [(128, 256), (33, 51), (8, 8)])
@pytest.mark.parametrize("extra", [{}, {"mirrored": True, "upsampled": 1.5}], ids=["plain", "mirrored"])
def test_probabilities_of_any_size_sum_to_1_and_labels_are_the_most_probable(size, extra):
    net = made(**extra)
    found = net.probabilities(picture(*size))
    assert found.shape == (2, len(NAMES), *size) and found.dtype == torch.float32
    torch.testing.assert_close(found.sum(1), torch.ones(2, *size))
    labels = net.labels(picture(*size))
    assert labels.dtype == torch.int64 and torch.equal(labels, found.argmax(1)) and int(labels.max()) < len(NAMES)


def test_a_picture_does_not_depend_on_its_neighbours_in_a_batch(tiny):
    pixels = picture(count=3)
    alone = torch.cat([tiny.probabilities(one[None]) for one in pixels])
    torch.testing.assert_close(tiny.probabilities(pixels), alone, rtol=0, atol=1e-5)  # float32 sums in another order


def test_with_mirrored_the_mirror_image_has_the_mirrored_probabilities():
    pixels = picture(64, 96)
    for mirrored in (True, False):
        net = made(mirrored=mirrored)
        difference = (net.probabilities(pixels.flip(3)) - net.probabilities(pixels).flip(3)).abs().max()
        assert (difference < 1e-5) == mirrored


def test_sides_that_do_not_fit_are_continued_by_their_last_pixels(tiny):
    pixels = picture(33, 51)
    longer = functional.pad(pixels, (0, -51 % tiny.multiple, 0, -33 % tiny.multiple), mode="replicate")
    torch.testing.assert_close(tiny.probabilities(pixels), tiny.probabilities(longer)[:, :, :33, :51])


def test_upsampled_is_the_network_on_the_enlarged_picture(tiny):
    pixels, larger = picture(32, 48), made(upsampled=2.0)
    larger.load_state_dict(tiny.state_dict())
    enlarged = functional.interpolate(pixels, scale_factor=2.0, mode="bilinear", align_corners=False)
    # by a factor of 2, bilinear interpolation is the mean of 2x2
    torch.testing.assert_close(larger(pixels), functional.avg_pool2d(tiny(enlarged), 2), rtol=1e-4, atol=1e-4)


def test_a_placed_network_is_told_the_height_from_minus_1_to_1():
    net, seen = made(placed=True), []
    net.net.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    net(picture(32, 64))
    assert seen[0].shape == (2, 4, 32, 64)
    torch.testing.assert_close(seen[0][:, 3], torch.linspace(-1, 1, 32)[None, :, None].expand(2, 32, 64))
    torch.testing.assert_close(seen[0][:, :3], (picture(32, 64) - net.mean) / net.deviation)


def test_in_use_a_batch_normalisation_is_a_scale_and_a_shift(tiny):
    before, pixels = {name: value.clone() for name, value in tiny.state_dict().items()}, picture()
    small = storage.in_use(tiny)
    torch.testing.assert_close(small.probabilities(pixels), tiny.probabilities(pixels), rtol=0, atol=1e-5)
    statistics = [value for name, value in small.state_dict().items() if "running" in name]
    assert statistics and all(bool((value == value.flatten()[0]).all()) for value in statistics)
    assert all(torch.equal(value, before[name]) for name, value in tiny.state_dict().items())  # a copy


@pytest.mark.parametrize("precision", ["half", "int8"])
def test_a_file_gives_the_same_network_within_its_precision(tiny, tmp_path, precision):
    """Kernels to within half a step, the rest in half precision; a file of 8 bits holds no statistics."""
    file = storage.save_network(tiny, tmp_path, precision)
    loaded, state, stored = named(str(tmp_path)), storage.in_use(tiny).state_dict(), storage.read_state(file)
    assert loaded.state_dict().keys() == state.keys()
    assert any("running" in name for name in state) and not (precision == "int8" and any("running" in name for name in stored))
    for name, value in loaded.state_dict().items():
        if precision == "int8" and value.ndim > 1:
            step = stored[name + SCALE].view(-1, *[1] * (value.ndim - 1))
            # a rounded quotient times the step: half a step, and float32's rounding of quotient and product
            assert bool(((value - state[name]).abs() <= step * (0.5 + 127 * 2**-22)).all()), name
        else:
            torch.testing.assert_close(value, state[name], rtol=2**-11, atol=2**-25)  # half precision's rounding, subnormals too
    assert not any(parameter.requires_grad for parameter in loaded.parameters()) and not loaded.training
    storage.save_network(loaded, tmp_path / "again", precision)
    again = named(str(tmp_path / "again")).state_dict()
    # what is on the grid stays there, but for a square root's rounding
    assert all(torch.allclose(value, again[name], rtol=2**-10, atol=2**-24) for name, value in loaded.state_dict().items())


def test_statistics_beyond_the_range_of_half_precision_survive(tmp_path):
    net = made()
    next(value for name, value in net.named_buffers() if name.endswith("running_var")).fill_(1e6)
    for precision in storage.FILES:
        storage.save_network(net, tmp_path / precision, precision)
        found = named(str(tmp_path / precision)).probabilities(picture())
        assert found.isfinite().all()


def test_stages_beyond_the_depth_are_left_out():
    shallow, deep = (Segmenter("Unet", "resnet18", depth, {"decoder_channels": [8] * depth}) for depth in (3, 5))
    assert not any(".layer3." in name or ".layer4." in name for name in shallow.state_dict())
    assert any(".layer4." in name for name in deep.state_dict())
    before = dict(shallow.named_parameters())
    shallow(picture(32, 32)).sum().backward()
    assert all(value.grad is not None for value in before.values())  # nothing is idle


@pytest.mark.parametrize(
    ("architecture", "encoder", "depth", "options"),
    [
        ("FPN", "resnet18", 4, {"decoder_pyramid_channels": 16, "decoder_segmentation_channels": 32, "upsampling": 1}),
        ("DeepLabV3Plus", "tu-mobilenetv3_small_050", 4, {"decoder_channels": 16}),
        ("Segformer", "mit_b0", 5, {"decoder_segmentation_channels": 16}),
        ("Unet", "tu-mobilenetv3_small_050", 3, {"decoder_channels": [16, 8, 8]}),
    ],
)
def test_architectures_are_chosen_by_their_config_alone(architecture, encoder, depth, options, tmp_path):
    with seeded("architectures"):
        net = Segmenter(architecture, encoder, depth, options).eval()
    storage.save_network(net, tmp_path, "int8")
    loaded = named(str(tmp_path))
    assert loaded.config.options == options
    assert loaded.probabilities(picture(64, 96)).shape == (2, 11, 64, 96)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"architecture": "Unett"}, "has no architecture 'Unett'; allowed: .*; did you mean 'Unet'"),
        ({"encoder": "resnet81"}, "has no encoder 'resnet81'; allowed: .*resnet18"),
        ({"encoder": "tu-nothing_like_it"}, "builds no Linknet with encoder tu-nothing_like_it .*change one of them"),
        ({"options": {"colour": 3}}, r"builds no Linknet .* options \{'colour': 3\} .*change one of them"),
    ],
)
def test_what_the_library_does_not_know_is_refused_in_one_sentence(changes, sentence):
    with pytest.raises(WeightsError, match=sentence):
        Segmenter(**{**TINY, **changes})


def test_without_the_library_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    with pytest.raises(WeightsError, match="segmenters need the package segmentation-models-pytorch.*pip install"):
        Segmenter(**TINY)


def test_pixels_of_another_shape_are_refused(tiny):
    with pytest.raises(ValueError, match=r"pixels of shape \[3, 32, 64\] were given; expected \[B, 3, H, W\]"):
        tiny.probabilities(torch.zeros(3, 32, 64))


def test_an_identity_is_of_weights_and_config_wherever_they_lie(tiny, tmp_path):
    for name in ("one", "two"):
        storage.save_network(tiny, tmp_path / name, "half")
    mirrored = made(mirrored=True)
    mirrored.load_state_dict(tiny.state_dict())
    storage.save_network(mirrored, tmp_path / "mirrored", "half")
    first = identity(str(tmp_path / "one"))
    assert len(first) == 64 and identity(str(tmp_path / "two")) == first
    assert identity(str(tmp_path / "mirrored")) != first
    assert identity("owner/name@" + COMMIT) == "owner/name@" + COMMIT  # not on this machine


def test_what_is_no_segmenter_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="there is no segmenter 'nowhere'; allowed: a name that ships .*OWNER/NAME@COMMIT"):
        named("nowhere")
    with pytest.raises(WeightsError, match="'jscc' holds a JSCC; expected a Segmenter"):
        named("jscc")
    with pytest.raises(WeightsError, match="is a hub id without a pinned commit .revision: None.; give the 40 hex digits"):
        named("nvidia/segformer")
    with pytest.raises(WeightsError, match="holds no config.json"):
        named(str(tmp_path))


def test_importing_the_names_is_cheap():
    import subprocess

    code = "import sys; from semcom.models.segmenter import NAMES, identity, named; print([m for m in ('torch', 'diffusers', 'timm') if m in sys.modules])"
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root).stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["segmenter_transmitter", "segmenter_evaluator"])
def test_what_ships_fits_three_mebibytes_and_reads_a_picture(name):
    if name not in weights.TABLE:
        pytest.skip(f"'{name}' does not ship yet")
    file = weights.find(name)
    assert file.stat().st_size <= 3 * 2**20 and len(identity(name)) == 64
    assert named(name).labels(picture(128, 256, 1)).shape == (1, 128, 256)


# networks of Hugging Face's

CITYSCAPES = tuple(cityscapes.TRAIN_IDS)


def segformer(labels):
    transformers = pytest.importorskip("transformers", reason="transformers is an extra: pip install 'semcom[hub]'")
    config = transformers.SegformerConfig(
        num_encoder_blocks=2, depths=[1, 1], sr_ratios=[4, 2], hidden_sizes=[8, 16], patch_sizes=[7, 3], strides=[4, 2],
        num_attention_heads=[1, 2], mlp_ratios=[2, 2], decoder_hidden_size=16,
        id2label=dict(enumerate(labels)), label2id={label: index for index, label in enumerate(labels)},
    )  # fmt: skip
    with seeded("segformer"):
        return transformers.SegformerForSemanticSegmentation(config).eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny SegFormer of Cityscapes' classes as Hugging Face stores one."""
    path = tmp_path_factory.mktemp("segformer")
    segformer(CITYSCAPES).save_pretrained(path)
    (path / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.5] * 3, "image_std": [0.25] * 3}))
    return path


def test_a_segformer_reads_as_its_own_probabilities_added_by_meaning(folder):
    """The same in other words: its softmax over enlarged pixels, the classes summed one by one."""
    pixels = picture(64, 128, 1)
    net, reader = segformer(CITYSCAPES), named(str(folder))
    found = reader.probabilities(pixels)
    assert found.shape == (1, 11, 64, 128) and torch.equal(reader.labels(pixels), found.argmax(1))
    torch.testing.assert_close(found.sum(1), torch.ones(1, 64, 128))
    enlarged = functional.interpolate(pixels, (512, 1024), mode="bilinear", align_corners=False)
    with torch.no_grad():
        scores = functional.interpolate(net((enlarged - 0.5) / 0.25).logits, (64, 128), mode="bilinear", align_corners=False)
    own = scores.softmax(1).numpy()
    expected = np.zeros((1, 11, 64, 128), np.float32)
    for index, label in enumerate(CITYSCAPES):
        expected[:, OURS[label]] += own[:, index]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


def test_classes_that_mean_none_of_ours_are_left_out(tmp_path):
    segformer(("wall", "sky", "bed ", "mountain", "Traffic_Light")).save_pretrained(tmp_path)
    found = named(str(tmp_path)).probabilities(picture(64, 64, 1))
    present = [name for name, plane in zip(NAMES, found[0], strict=True) if bool((plane > 0).all())]
    assert present == ["sky", "building", "sign"] and float(found[0].sum(0).min()) == pytest.approx(1.0, abs=1e-5)


def test_a_hub_id_is_loaded_from_the_cache_at_its_commit(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.delenv("SEMCOM_DOWNLOAD", raising=False)
    place = tmp_path / "models--owner--street" / "snapshots" / COMMIT
    place.parent.mkdir(parents=True)
    place.symlink_to(folder)
    name = f"owner/street@{COMMIT}"
    assert torch.equal(named(name).labels(picture(count=1)), named(str(folder)).labels(picture(count=1)))
    assert identity(name) == identity(str(folder))
    with pytest.raises(WeightsError, match="is not in .* and downloads are off"):
        named(f"owner/street@{COMMIT[::-1]}")


def test_a_network_that_is_not_whole_or_not_about_streets_is_refused(folder, tmp_path):
    from safetensors.torch import load_file, save_file

    state = load_file(folder / "model.safetensors")
    state.pop("decode_head.classifier.bias")
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsError, match="leave out decode_head.classifier.bias and 0 others; get them again"):
        named(str(tmp_path))
    segformer(("bed", "lamp", "sofa", "sky")).save_pretrained(tmp_path / "rooms")
    with pytest.raises(WeightsError, match=r"of the 4 classes \(bed, lamp, sofa, sky, ...\) fewer than two mean one of ours"):
        named(str(tmp_path / "rooms"))


def test_without_transformers_it_says_what_to_install(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(WeightsError, match=r"needs the package transformers .*pip install 'semcom\[hub\]'"):
        named(str(folder))
