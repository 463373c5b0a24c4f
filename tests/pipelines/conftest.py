"""Tiny pipelines of Stable Diffusion in folders, as save_pretrained leaves them, with weights that nobody trained."""

import json

import pytest
import torch

from semcom.train.optimise import seeded

WIDTHS = (8, 16)


@pytest.fixture(autouse=True)
def _one_thread(one_thread):
    pass


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """{"pipeline": folder, "controlnet": folder}"""
    pytest.importorskip("transformers", reason="the pipelines' text encoder needs the extra 'hub' (transformers)")
    from diffusers import AutoencoderKL, ControlNetModel, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    shape = {"block_out_channels": WIDTHS, "layers_per_block": 1, "norm_num_groups": 2}
    down = ("DownBlock2D", "CrossAttnDownBlock2D")
    with seeded("pipeline"):
        unet = UNet2DConditionModel(
            sample_size=8, in_channels=4, out_channels=4, down_block_types=down, up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=16, attention_head_dim=4, **shape,
        )  # fmt: skip
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2, latent_channels=4, **shape
        )
        text = CLIPTextModel(
            CLIPTextConfig(vocab_size=64, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, max_position_embeddings=16)
        )
        control = ControlNetModel(
            in_channels=4, down_block_types=down, cross_attention_dim=16, attention_head_dim=4, conditioning_embedding_out_channels=(8, 16), **shape
        )  # fmt: skip
        for parameter in control.parameters():  # a new one says nothing yet
            parameter.data += 0.1 * torch.randn(parameter.shape)
    scheduler = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False, steps_offset=1)
    root = tmp_path_factory.mktemp("pipelines")
    made = StableDiffusionPipeline(
        vae=vae, text_encoder=text, tokenizer=_tokenizer(root), unet=unet, scheduler=scheduler, safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    made.save_pretrained(root / "pipeline", safe_serialization=True)
    control.save_pretrained(root / "controlnet", safe_serialization=True)
    return {"pipeline": str(root / "pipeline"), "controlnet": str(root / "controlnet")}


def _tokenizer(root):
    """Letters alone, one token each."""
    from transformers import CLIPTokenizer

    letters = "abcdefghijklmnopqrstuvwxyz"
    names = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    folder = root / "tokenizer"
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps({name: place for place, name in enumerate(names)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=16)
