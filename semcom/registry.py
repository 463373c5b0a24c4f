"""Every component by role and kind: the one visible table. Adding one is a file and a line here."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any

from pydantic import BaseModel

from semcom.errors import ScenarioError, allowed

TABLE: dict[str, dict[str, str]] = {
    "source": {
        "photos": "semcom.source.photos:Photos",
        "streets": "semcom.source.streets:Streets",
        "folder": "semcom.source.folder:Folder",
        "camvid": "semcom.source.camvid:CamVid",
        "labelmefacade": "semcom.source.labelmefacade:LabelMeFacade",
        "cityscapes": "semcom.source.cityscapes:Cityscapes",
    },
    "channel": {
        "awgn": "channels.awgn:AWGN",
        "rayleigh": "channels.rayleigh:Rayleigh",
        "rician": "channels.rician:Rician",
        "ofdm": "channels.ofdm:OFDM",
        "tdl": "channels.tdl:TDL",
        "cdl": "channels.cdl:CDL",
        "ray_traced": "channels.ray_traced:RayTraced",
        "amplifier": "channels.amplifier:Amplifier",
        "phase_noise": "channels.phase_noise:PhaseNoise",
        "carrier_offset": "channels.carrier_offset:CarrierOffset",
        "adc": "channels.adc:ADC",
        "mimo": "channels.mimo:MIMO",
        "cochannel": "channels.cochannel:CoChannel",
        "impulses": "channels.impulses:Impulses",
        "erasure": "channels.erasure:Erasure",
        "csi": "channels.csi:CSI",
    },
    "transmit": {
        "image_codec": "semcom.transmit.image_codec:ImageCodec",
        "softcast": "semcom.transmit.softcast:SoftCast",
        "jscc": "semcom.transmit.jscc:JSCC",
        "prior": "semcom.transmit.prior:Prior",
        "vae_latent": "semcom.transmit.vae_latent:VaeLatent",
        "vae_latent_quantised": "semcom.transmit.vae_latent_quantised:VaeLatentQuantised",
        "segmentation_map": "semcom.transmit.segmentation_map:SegmentationMap",
        "oracle_map": "semcom.transmit.oracle_map:OracleMap",
        "index_map": "semcom.transmit.index_map:IndexMap",
        "map_and_latent": "semcom.transmit.map_and_latent:MapAndLatent",
        "oracle_map_and_latent": "semcom.transmit.oracle_map_and_latent:OracleMapAndLatent",
        "retrieval": "semcom.transmit.retrieval:Retrieval",
        "physical_map": "semcom.transmit.physical_map:PhysicalMap",
        "oracle_physical_map": "semcom.transmit.oracle_physical_map:OraclePhysicalMap",
        "legacy_map": "semcom.transmit.legacy_map:LegacyMap",
        "oracle_legacy_map": "semcom.transmit.oracle_legacy_map:OracleLegacyMap",
    },
    "link": {
        "digital": "semcom.link.digital:Digital",
        "analog": "semcom.link.analog:Analog",
        "ideal": "semcom.link.ideal:Ideal",
        "parts": "semcom.link.parts:Parts",
        "packet": "semcom.link.packet:Packet",
        "adaptive": "semcom.link.adaptive:Adaptive",
        "gesco": "semcom.link.gesco:Gesco",
    },
    "receive": {
        "image_codec": "semcom.receive.image_codec:ImageCodec",
        "softcast": "semcom.receive.softcast:SoftCast",
        "jscc": "semcom.receive.jscc:JSCC",
        "prior": "semcom.receive.prior:Prior",
        "vae": "semcom.receive.vae:Vae",
        "map_as_is": "semcom.receive.map_as_is:MapAsIs",
        "retrieval": "semcom.receive.retrieval:Retrieval",
        "latent_diffusion": "semcom.receive.latent_diffusion:LatentDiffusion",
        "gan": "semcom.receive.gan:Gan",
        "codec_diffusion": "semcom.receive.codec_diffusion:CodecDiffusion",
        "diffusers_pipeline": "semcom.receive.diffusers_pipeline:DiffusersPipeline",
    },
    "metric": {
        "psnr": "semcom.metrics.psnr:PSNR",
        "ssim": "semcom.metrics.ssim:SSIM",
        "ms_ssim": "semcom.metrics.ms_ssim:MSSSIM",
        "ms_ssim_4": "semcom.metrics.ms_ssim:MSSSIM4",
        "lpips_alex": "semcom.metrics.lpips:LPIPSAlex",
        "lpips_vgg": "semcom.metrics.lpips:LPIPSVGG",
        "lpips_squeeze": "semcom.metrics.lpips:LPIPSSqueeze",
        "lpips_semcom": "semcom.metrics.lpips_semcom:LPIPSSemcom",
        "semantic": "semcom.metrics.semantic:Semantic",
    },
}

#: what makes one channel of a list of stages, and says what is wrong with one
CHAIN = "channels.chain"

#: what `semcom train` can train: the role "task" of a recipe, no part of a scenario
TASKS: dict[str, str] = {
    "autoencoder": "semcom.train.tasks.autoencoder:AutoencoderTask",
    "jscc": "semcom.train.tasks.jscc:JSCCTask",
    "segmenter": "semcom.train.tasks.segmenter:SegmenterTask",
    "latent_denoiser": "semcom.train.tasks.denoiser:DenoiserTask",
    "gan": "semcom.train.tasks.gan:GanTask",
    "semantic_diffusion": "semcom.train.tasks.semantic_diffusion:SemanticDiffusionTask",
    "latent_denoiser_fast": "semcom.train.tasks.denoiser_fast:FastDenoiserTask",
}


def kinds(role: str) -> dict[str, str]:
    """kind -> "package.module:Class", ours first, then what installed packages offer as entry points."""
    return {**_offered(role), **(TASKS if role == "task" else TABLE[role])}


@lru_cache
def _offered(role: str) -> dict[str, str]:
    """Entry points, looked up once: that reads the metadata of every installed package."""
    return {point.name: point.value for point in entry_points(group=f"semcom.{role}")}


def find(role: str, kind: str, allow_plugins: bool = False) -> type[BaseModel]:
    """The description class of ``kind``; ScenarioError with the nearest name where there is none."""
    table = kinds(role)
    if ":" in kind:
        if not allow_plugins:
            raise ScenarioError(f"'{kind}' is code from outside the package; allow it with --allow-plugins")
        target = kind
    elif kind in table:
        target = table[kind]
    else:
        raise ScenarioError(f"there is no {role} '{kind}'; {allowed(kind, table)}")
    module, _, name = target.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ScenarioError(f"{role} '{kind}' cannot be imported from '{target}': {error}") from error


def stages_fault(stages: Sequence[BaseModel]) -> tuple[int, str] | None:
    """What is wrong with stages as a channel: the place of one, and a sentence; None where nothing is."""
    return importlib.import_module(CHAIN).fault(stages)


def channel_of(stages: Sequence[BaseModel]) -> BaseModel:
    """The description of a list of channel stages; of a propagation that needs no other, that stage itself."""
    return importlib.import_module(CHAIN).normal(stages)


def parse(role: str, value: str | Mapping[str, Any] | Sequence[Any] | BaseModel, allow_plugins: bool = False) -> BaseModel:
    """The description that a kind, a mapping with a kind, or a description stands for; a channel's stages may be listed.

    Raises: ScenarioError where listed stages cannot be a channel.
    """
    if isinstance(value, BaseModel):
        return value
    if role == "channel" and isinstance(value, (list, tuple)):
        stages = [parse(role, stage, allow_plugins) for stage in value]
        if (wrong := stages_fault(stages)) is not None:
            raise ScenarioError(f"channel[{wrong[0]}]: {wrong[1]}")
        return channel_of(stages)
    fields = {"kind": value} if isinstance(value, str) else dict(value)
    return find(role, fields.pop("kind"), allow_plugins).model_validate(fields)
