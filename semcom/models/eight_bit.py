"""Weights in 8 bits: int8 with one scale an output channel, half precision for what is small anyway."""

from __future__ import annotations

from collections.abc import Mapping

import torch

#: the scales of NAME are stored as NAME + SCALE
SCALE = ".scale"
#: int8 without -128, so that the range is symmetric
LARGEST = 127


def quantise(state: Mapping[str, torch.Tensor], exact: tuple[str, ...] = ()) -> dict[str, torch.Tensor]:
    """Matrices and kernels as int8 [out, ...] with a float32 scale [out]; vectors and scalars in half precision, and so
    is what a name in ``exact`` begins.

    A value w of channel c becomes round(w / scale_c), scale_c = max |w| / 127: the error is at most scale_c / 2.
    """
    result = {}
    for name, value in state.items():
        if not value.is_floating_point():
            result[name] = value
        elif value.ndim < 2 or name.startswith(exact):
            result[name] = value.half()
        else:
            flat = value.float().flatten(1)
            scale = flat.abs().amax(dim=1).clamp(min=torch.finfo(torch.float32).tiny) / LARGEST
            result[name] = (flat / scale[:, None]).round().clamp(-LARGEST, LARGEST).to(torch.int8).view(value.shape)
            result[name + SCALE] = scale
    return result


def dequantise(state: Mapping[str, torch.Tensor], dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    """The float weights of a state dict, whether `quantise` made it or not; 8-bit floats become floats as well."""
    result = {}
    for name, value in state.items():
        if name.endswith(SCALE) and name.removesuffix(SCALE) in state:
            continue
        if name + SCALE in state:
            scale = state[name + SCALE].float().view(-1, *[1] * (value.ndim - 1))
            result[name] = (value.float() * scale).to(dtype)
        else:
            result[name] = value.to(dtype) if value.is_floating_point() else value
    return result
