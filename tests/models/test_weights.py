"""Weights: pinned by digest, loaded from folders, files and the hub's cache; every fault is one sentence."""

import copy
import json

import pytest
import torch
from diffusers import AutoencoderTiny
from typer.testing import CliRunner

from semcom.cli.main import app
from semcom.errors import SemcomError, WeightsError
from semcom.models import hub, storage, weights
from semcom.models.autoencoder import Autoencoder
from semcom.models.pretrained import Pretrained
from semcom.models.weights import Pinned

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def pinned(tiny, tmp_path, monkeypatch):
    """Weights "toy" that ship, in a package folder of the test's."""
    file = storage.save_network(tiny, tmp_path / "toy")
    (tmp_path / "toy" / "CARD.md").write_text("# toy\n")
    storage.write_facts(tmp_path / "toy", {"normalised": True, "latents": {"mean": [0.5] * 6, "power": [2.0] * 6}})
    monkeypatch.setattr(weights, "ROOT", tmp_path)
    monkeypatch.setattr(weights, "TABLE", {"toy": Pinned(file.name, storage.digest(file), "research use")})
    return file


def run(*words):
    return CliRunner().invoke(app, ["weights", *words])


def test_pinned_weights_load_with_their_statistics(pinned, pixels):
    model = Pretrained("toy").load()
    assert model.normalised and model.mean.tolist() == [0.5] * 6 and model.power.tolist() == [2.0] * 6
    torch.testing.assert_close(model.encode(pixels, 3).square().mean(dim=(1, 2, 3)), torch.ones(3))
    assert Pretrained("toy").digest() == weights.TABLE["toy"].sha256
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_a_changed_or_missing_file_is_refused(pinned):
    data = bytearray(pinned.read_bytes())
    data[-1] ^= 1
    pinned.write_bytes(data)
    with pytest.raises(
        WeightsError, match="is not what was pinned: its SHA-256 is [0-9a-f]{64} and should be [0-9a-f]{64}; install"
    ):
        Pretrained("toy").load()
    pinned.unlink()
    with pytest.raises(
        WeightsError, match="the weights 'toy' are missing: put diffusion_pytorch_model.safetensors with SHA-256 .* into"
    ):
        weights.find("toy")
    with pytest.raises(WeightsError, match="there are no weights 'tay'; allowed: toy; did you mean 'toy'?"):
        weights.find("tay")


def test_everything_that_ships_is_what_was_pinned():
    assert [weights.check(name) for name in weights.TABLE] == [None] * len(weights.TABLE)


def test_the_commands_list_verify_and_show_the_card(pinned):
    assert "toy" in run("list").output and "ok" in run("list").output
    assert json.loads(run("list", "--json").output)[0]["problem"] is None
    assert run("verify").output == "1 weights are there and are what was pinned\n"
    assert run("card", "toy").output == "# toy\n"
    pinned.unlink()
    assert "not ok" in run("list").output
    assert isinstance(run("verify").exception, SemcomError) and "are missing" in str(run("verify").exception)
    assert "there is no model card" in str(run("card", "nothing").exception)


@pytest.mark.parametrize(("precision", "tolerance"), [("half", 2**-11), ("int8", 0.5 / 127)])
def test_a_network_is_saved_small_and_loads_strictly(tiny, tmp_path, precision, tolerance):
    """Off by at most half a step: of half precision relative to a weight, of 8 bits relative to its channel's largest."""
    # as it lies in memory after training on a GPU
    path = storage.save_network(copy.deepcopy(tiny).to(memory_format=torch.channels_last), tmp_path, precision)
    loaded = storage.load_network(tmp_path)
    for name, value in tiny.state_dict().items():
        largest = (
            value.abs()
            if precision == "half"
            else value.abs().flatten(1).amax(1).view(-1, *[1] * (value.ndim - 1))
            if value.ndim > 1
            else value.abs()
        )
        # 6e-8: the smallest number of half precision
        assert ((loaded.state_dict()[name] - value).abs() <= 1.001 * tolerance * largest + 6e-8).all()
    parameters = sum(p.numel() for p in tiny.parameters())
    assert path.stat().st_size < {"half": 2.0, "int8": 1.3}[precision] * parameters + 30_000
    if precision == "half":
        assert isinstance(AutoencoderTiny.from_pretrained(tmp_path), AutoencoderTiny)


def test_what_cannot_be_loaded_is_said_in_a_sentence(tiny, tmp_path):
    with pytest.raises(WeightsError, match="there are no weights 'nothing'; allowed: a name that ships .*, a local folder"):
        Pretrained("nothing").load()
    with pytest.raises(WeightsError, match="should hold one file of weights .* and holds none"):
        Pretrained(str(tmp_path)).load()
    file = storage.save_network(tiny, tmp_path / "a")
    file.write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="cannot be read as safetensors"):
        Pretrained(str(tmp_path / "a")).load()
    storage.save_network(tiny, tmp_path / "b")
    config = tmp_path / "b" / "config.json"
    config.write_text(config.read_text().replace('"latent_channels": 6', '"latent_channels": 5'))
    with pytest.raises(WeightsError, match="does not fit the AutoencoderTiny of its config"):
        Pretrained(str(tmp_path / "b")).load()
    config.write_text('{"_class_name": "Strange"}')
    with pytest.raises(WeightsError, match="holds a 'Strange'; allowed: AutoencoderKL, AutoencoderTiny"):
        Pretrained(str(tmp_path / "b")).load()


@pytest.fixture
def cache(tiny, tmp_path, monkeypatch):
    """The hub's cache with owner/tiny at one commit, and no permission to download."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.delenv("SEMCOM_DOWNLOAD", raising=False)
    storage.save_network(tiny, tmp_path / "models--owner--tiny" / "snapshots" / COMMIT / "vae")
    return tmp_path


def test_a_hub_id_is_loaded_from_the_cache_at_its_commit(cache, tiny, pixels):
    model = Pretrained("owner/tiny", revision=COMMIT, subfolder="vae").load()
    assert not model.normalised
    # a foreign autoencoder keeps its scale; half precision's rounding passes some ten layers
    torch.testing.assert_close(
        model.encode(pixels), Autoencoder(tiny, normalised=False).encode(pixels).detach(), rtol=0.02, atol=0.02
    )


def test_a_hub_id_needs_a_commit_and_a_copy_and_says_where_to_put_it(cache, monkeypatch):
    for revision in (None, "main", COMMIT[:7]):
        with pytest.raises(WeightsError, match="is a hub id without a pinned commit .*; give the 40 hex digits"):
            Pretrained("owner/tiny", revision).load()
    other = COMMIT[::-1]
    sentence = f"'owner/other' at {other} is not in '{cache}' and downloads are off .*; get config.json .* put both into a folder"
    with pytest.raises(WeightsError, match=sentence):
        Pretrained("owner/other", other).load()
    asked = []

    def no_network(name, local_files_only, **rest):
        asked.append(local_files_only)
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.snapshot_download", no_network)
    monkeypatch.setenv(hub.DOWNLOAD, "1")
    with pytest.raises(WeightsError, match="the download failed .OSError."):
        Pretrained("owner/other", other).load()
    assert asked == [True, False]


@pytest.mark.parametrize(("file", "channels"), [("taesd", 4), ("taesd_f", 16)])
def test_taesd_loads_strictly_from_a_file_of_8_bit_floats(shared, file, channels):
    model = Pretrained(str(shared / "weights" / "taesd" / f"{file}.safetensors")).load()
    y, x = torch.meshgrid(torch.linspace(0, 1, 64), torch.linspace(0, 1, 96), indexing="ij")
    picture = torch.stack([x, y, 0.5 + 0.5 * torch.sin(9 * x * y)])[None]
    latents = model.encode(picture)
    assert latents.shape == (1, channels, 8, 12)
    assert float((model.decode(latents) - picture).square().mean()) < 10**-2.5  # above 25 dB on a smooth picture


def test_a_bare_file_of_8_bit_floats_loads_as_an_autoencoder_tiny(tmp_path):
    """The same without the shared weights."""
    from safetensors.torch import save_file

    net = AutoencoderTiny(latent_channels=3, encoder_block_out_channels=(16,) * 4, decoder_block_out_channels=(16,) * 4)
    state = {name: value.to(torch.float8_e4m3fn) for name, value in net.state_dict().items()}
    save_file(state, tmp_path / "bare.safetensors")
    model = Pretrained(str(tmp_path / "bare.safetensors")).load()
    assert all(torch.equal(model.net.state_dict()[name], value.float()) for name, value in state.items())
