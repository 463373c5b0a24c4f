"""Where the backbones of LPIPS come from, what is refused, and the published value."""

import hashlib
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torchvision import models

from semcom.errors import WeightsError
from semcom.metrics import backbones
from semcom.metrics.lpips import LPIPSVGG, LPIPSAlex, LPIPSSqueeze

ALL = [LPIPSAlex, LPIPSVGG, LPIPSSqueeze]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder for weights, and a machine that has none elsewhere."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("SEMCOM_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.delenv("SEMCOM_DOWNLOAD", raising=False)
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


@pytest.fixture(scope="module")
def squeezenet():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return models.squeezenet1_1(weights=None).state_dict()


def features(state):
    return {key.removeprefix("features."): value for key, value in state.items() if key.startswith("features.")}


def value(seed=0):
    rng = torch.Generator().manual_seed(seed)
    x, y = torch.rand(2, 3, 40, 40, generator=rng), torch.rand(2, 3, 40, 40, generator=rng)
    return LPIPSSqueeze().build()(x, y)["lpips_squeeze"]


def test_the_squeeze_distance_is_the_one_that_torchmetrics_documents(shared, monkeypatch):
    """Its docstring prints 0.1005 for ten unseeded uniform pairs, and [0.1024, 0.0938] for a seeded two."""
    monkeypatch.setenv("SEMCOM_WEIGHTS", str(shared / "weights"))
    measure = LPIPSSqueeze().build()
    rng = torch.Generator().manual_seed(42)
    pair = torch.rand(2, 3, 100, 100, generator=rng), torch.rand(2, 3, 100, 100, generator=rng)
    assert [round(float(v), 4) for v in measure(*pair)["lpips_squeeze"]] == [0.1024, 0.0938]
    rng = torch.Generator().manual_seed(42)
    ten = torch.rand(10, 3, 100, 100, generator=rng), torch.rand(10, 3, 100, 100, generator=rng)
    assert round(float(measure(*ten)["lpips_squeeze"].mean()), 4) == 0.1005


def test_the_addresses_are_torchvision_s():
    names = [models.AlexNet_Weights.IMAGENET1K_V1, models.VGG16_Weights.IMAGENET1K_V1, models.SqueezeNet1_1_Weights.IMAGENET1K_V1]
    assert [metric.BACKBONE.url for metric in ALL] == [weights.url for weights in names]


def test_the_cache_is_torch_s(monkeypatch, tmp_path):
    for variable in ("TORCH_HOME", "XDG_CACHE_HOME"):
        assert str(backbones.hub_folder()) == os.path.join(torch.hub.get_dir(), "checkpoints")
        monkeypatch.delenv("TORCH_HOME", raising=False)
        monkeypatch.setenv(variable, str(tmp_path / variable))
        assert str(backbones.hub_folder()) == os.path.join(torch.hub.get_dir(), "checkpoints")


@pytest.mark.parametrize("metric", ALL)
def test_without_weights_the_sentence_says_what_to_do(metric, folder):
    sentence = metric().available()
    for part in (metric().kind, metric.BACKBONE.url, str(backbones.hub_folder()), "SEMCOM_WEIGHTS", "SEMCOM_DOWNLOAD=1"):
        assert part in sentence
    assert metric().identity()["weights"] is None
    with pytest.raises(WeightsError, match=metric.BACKBONE.file):
        metric().build()


def test_nothing_is_downloaded_unless_it_is_allowed(folder, monkeypatch, squeezenet):
    asked = []
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda url, dst, **_: asked.append(url) or torch.save(squeezenet, dst))
    with pytest.raises(WeightsError):
        LPIPSSqueeze().build()
    assert asked == []
    monkeypatch.setenv("SEMCOM_DOWNLOAD", "1")
    assert LPIPSSqueeze().available() is None
    with pytest.raises(WeightsError, match="damaged"):  # what came is not what the name promises
        LPIPSSqueeze().build()
    assert asked == [backbones.SQUEEZE.url]


def test_a_download_that_fails_is_one_sentence(folder, monkeypatch):
    def fail(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    monkeypatch.setenv("SEMCOM_DOWNLOAD", "1")
    with pytest.raises(WeightsError, match="could not be downloaded.*no route to host"):
        LPIPSSqueeze().build()


def test_every_place_and_layout_gives_the_same_distance_and_digest(folder, monkeypatch, squeezenet):
    (folder / "lpips").mkdir()
    torch.save(features(squeezenet), folder / "lpips" / "squeeze.backbone.pth")
    expected, digest = value(), LPIPSSqueeze().build().digest
    assert LPIPSSqueeze().identity()["weights"] == digest and len(digest) == 64
    (folder / "lpips" / "squeeze.backbone.pth").rename(folder / "squeeze.backbone.pth")
    assert torch.equal(value(), expected)
    (folder / "squeeze.backbone.pth").unlink()

    whole = folder / "whole.pth"
    torch.save(squeezenet, whole)
    named = replace(backbones.SQUEEZE, file=f"squeezenet1_1-{hashlib.sha256(whole.read_bytes()).hexdigest()[:8]}.pth")
    monkeypatch.setattr(LPIPSSqueeze, "BACKBONE", named)
    whole.rename(folder / named.file)
    assert torch.equal(value(), expected) and LPIPSSqueeze().build().digest == digest
    backbones.hub_folder().mkdir(parents=True)
    (folder / named.file).rename(backbones.hub_folder() / named.file)
    assert torch.equal(value(), expected) and LPIPSSqueeze().build().digest == digest


def test_other_weights_have_another_digest(folder, squeezenet):
    path = folder / "squeeze.backbone.pth"
    torch.save(features(squeezenet), path)
    before = LPIPSSqueeze().build().digest
    torch.save(features(squeezenet) | {"0.bias": torch.ones(64)}, path)
    assert LPIPSSqueeze().build().digest != before


def test_files_that_are_not_the_backbone_are_refused(folder, squeezenet):
    path = folder / "squeeze.backbone.pth"
    torch.save(features(squeezenet), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match="cannot be read"):
        LPIPSSqueeze().build()
    path.write_bytes(b"")
    with pytest.raises(WeightsError, match="cannot be read"):
        LPIPSSqueeze().build()
    torch.save([1, 2], path)
    with pytest.raises(WeightsError, match="named weights"):
        LPIPSSqueeze().build()
    torch.save(features(squeezenet) | {"0.weight": torch.zeros(64, 3, 5, 5)}, path)
    with pytest.raises(WeightsError, match=r"does not hold SqueezeNet 1.1: its '0.weight' is \(64, 3, 5, 5\)"):
        LPIPSSqueeze().build()
    torch.save({key: tensor for key, tensor in features(squeezenet).items() if key != "12.expand3x3.bias"}, path)
    with pytest.raises(WeightsError, match="'12.expand3x3.bias' is missing"):
        LPIPSSqueeze().build()
    (folder / backbones.SQUEEZE.file).write_bytes(whole)
    with pytest.raises(WeightsError, match="SHA-256 starts with"):
        LPIPSSqueeze().build()


def test_too_small_images_get_a_reason(folder, squeezenet):
    torch.save(features(squeezenet), folder / "squeeze.backbone.pth")
    measure = LPIPSSqueeze().build()
    assert measure(torch.rand(1, 3, 17, 40), torch.rand(1, 3, 17, 40))["lpips_squeeze"].isfinite().all()
    assert LPIPSSqueeze().check((16, 40)) and LPIPSSqueeze().check((17, 40)) is None


def test_describing_a_metric_imports_nothing_heavy():
    code = (
        "import sys; from semcom import registry\n"
        "for kind in registry.TABLE['metric']: registry.find('metric', kind)().available()\n"
        "heavy = {'torch.nn', 'torchvision', 'lpips', 'skimage', 'scipy', 'pandas', 'pytorch_msssim'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
