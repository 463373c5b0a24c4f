"""Fitting statistics and coding tables to the latents of training pictures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from semcom.latents.context import _around, classify
from semcom.latents.tables import (
    CENTRE, COARSEST, CONTEXTS, ESCAPE, NEIGHBOURS, OCTAVE, REACH, STEPS, SYMBOLS, TOTAL, UNIT, Tables,
)  # fmt: skip

if TYPE_CHECKING:
    import torch

    from semcom.models.autoencoder import Autoencoder

#: frequency tables that all contexts share
LIBRARY = 128
#: rounds of choosing the best table of each context and fitting each table to its contexts
ROUNDS = 12
#: observations of all contexts of a step and channel that each context is given beforehand
PRIOR = 4.0
#: every symbol of a table is observed this often beforehand
FLOOR = 0.01
#: deviation of the noise that shows how sensitive a picture is to a channel, of a unit-RMS latent
PROBE = 0.1
#: pictures that are probed
PROBED = 16
#: makes the normal equations of a prediction solvable where channels are silent
RIDGE = 1e-3


def fit(model: Autoencoder, pictures: Iterable[torch.Tensor], weights: str) -> Tables:
    """Tables of an autoencoder from batches of training pictures float32 [B, 3, H, W]; ``weights`` is its digest."""
    import torch

    with torch.no_grad():
        batches = [(pixels, model.encode(pixels)) for pixels in pictures]
        raw = torch.cat([latents for _, latents in batches])
        mean = torch.zeros(model.channels, device=raw.device) if model.normalised else raw.mean(dim=(0, 2, 3))
        centred = raw - mean[None, :, None, None]
        scale = centred.square().mean(dim=(1, 2, 3), keepdim=True).sqrt().clamp(min=1e-6)
        sensitivity = _sensitivity(model, torch.cat([pixels for pixels, _ in batches])[:PROBED], raw[:PROBED], scale[:PROBED])
    return fit_latents((centred / scale).cpu().numpy(), mean.cpu().numpy(), sensitivity, weights)


def fit_latents(latents: np.ndarray, mean: np.ndarray, sensitivity: np.ndarray, weights: str) -> Tables:
    """The same from latents float32 [N, C, h, w] of unit RMS per image."""
    powers = np.square(latents, dtype=np.float64).mean(axis=(2, 3))
    power = np.maximum(powers.mean(axis=0), 1e-6)
    spread = powers.std(axis=0) / power
    power = power / power.mean()
    widths = (1.0 / np.sqrt(sensitivity)).astype(np.float32)
    leading = np.cumsum(power) / np.arange(1, len(power) + 1)
    shifts = np.rint(-OCTAVE / 2.0 * np.log2(leading)).astype(np.int16)
    offset = latents.mean(axis=(0, 2, 3), dtype=np.float64).astype(np.float32)
    scaled = (latents - offset[None, :, None, None]) / widths[None, :, None, None]
    prediction = _prediction(scaled)
    counts, centres = _counts(scaled, prediction)
    frequencies, choice = _library(counts)
    return Tables(
        weights, mean.astype(np.float32), offset, power.astype(np.float32), spread.astype(np.float32),
        sensitivity.astype(np.float32), widths, shifts, prediction, choice, frequencies, centres,
    )  # fmt: skip


def _sensitivity(model: Autoencoder, pixels: torch.Tensor, latents: torch.Tensor, scale: torch.Tensor) -> np.ndarray:
    """Squared error of the picture that a small squared error of each channel makes, float64 [C], geometric mean 1."""
    import torch

    rng = torch.Generator().manual_seed(0)
    before, errors = model.decode(latents), []
    noise = torch.randn(latents[:, 0].shape, generator=rng).to(latents.device)
    for channel in range(latents.shape[1]):
        moved = latents.clone()
        moved[:, channel] += PROBE * scale[:, 0] * noise
        errors.append(float((model.decode(moved) - before).square().mean()))
    found = np.maximum(np.array(errors), max(errors) * 1e-6 + 1e-20)
    return found / np.exp(np.log(found).mean())


def _prediction(scaled: np.ndarray) -> np.ndarray:
    """Least squares of each channel from its neighbours and the channels before, int16 [C, 4 + C] in 1/UNIT."""
    channels = scaled.shape[1]
    near = np.stack([np.stack(_around(image)) for image in scaled.astype(np.float64)], axis=2)  # [4, C, N, h, w]
    prediction = np.zeros((channels, len(NEIGHBOURS) + channels), dtype=np.int16)
    for channel in range(channels):
        before = scaled[:, :channel].transpose(1, 0, 2, 3).reshape(channel, scaled[:, 0].size)
        design = np.concatenate([near[:, channel].reshape(len(NEIGHBOURS), -1), before])
        target = scaled[:, channel].reshape(-1)
        normal = design @ design.T
        normal += RIDGE * np.trace(normal) / len(normal) * np.eye(len(normal)) + 1e-12 * np.eye(len(normal))
        found = np.linalg.solve(normal, design @ target)
        prediction[channel, : len(found)] = np.rint(found * UNIT).clip(-(2**12), 2**12)
    return prediction


def _counts(scaled: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How often each symbol follows each context, int64 [STEPS, C, CONTEXTS, SYMBOLS], and the reconstructions' centres."""
    channels = scaled.shape[1]
    counts = np.zeros((STEPS, channels, CONTEXTS, SYMBOLS), dtype=np.int64)
    centres = np.zeros((STEPS, channels, 2), dtype=np.uint8)
    place = np.arange(channels)[:, None, None] * CONTEXTS
    for index in range(STEPS):
        step = COARSEST * 2.0 ** (-index / OCTAVE)
        short = np.zeros((channels, 2, 2))  # channel, size 1 or more: how far short of its value, how often
        for image in scaled:
            exact = image / step
            values = np.rint(exact).astype(np.int64)
            rounded, sign, context = classify(values, prediction)
            residual = sign * (values - rounded)
            symbols = np.where(np.abs(residual) > REACH, ESCAPE, residual + REACH)
            flat = ((place + context) * SYMBOLS + symbols).ravel()
            counts[index] += np.bincount(flat, minlength=counts[index].size).reshape(counts[index].shape)
            size = np.abs(values)
            for which, chosen in enumerate((size == 1, size > 1)):
                short[:, which, 0] += np.where(chosen, size - np.abs(exact), 0.0).sum(axis=(1, 2))
                short[:, which, 1] += chosen.sum(axis=(1, 2))
        mean = short[..., 0] / np.maximum(short[..., 1], 1.0)
        centres[index] = np.rint(mean * CENTRE).clip(0, CENTRE // 2)
    return counts, centres


def _library(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies uint16 [L, SYMBOLS] and the choice uint8 [STEPS, C, CONTEXTS] that make the shortest code.

    Lloyd's algorithm on conditional histograms: each takes the table that codes it shortest, each table becomes
    the sum of its histograms (Linde, Buzo, Gray 1980, with relative entropy as the distance).
    """
    alike = counts.sum(axis=2, keepdims=True)
    believed = counts + PRIOR * alike / np.maximum(alike.sum(axis=3, keepdims=True), 1) + FLOOR / SYMBOLS
    flat = believed.reshape(-1, SYMBOLS)
    shares = flat / flat.sum(axis=1, keepdims=True)
    entropy = -(shares * np.log2(shares)).sum(axis=1)
    size = min(LIBRARY, len(flat))
    order, weight = np.argsort(entropy, kind="stable"), np.cumsum(np.sort(entropy))
    groups = (weight * size / (weight[-1] + 1e-9)).astype(np.int64).clip(0, size - 1)
    choice = np.empty(len(flat), dtype=np.int64)
    choice[order] = groups
    for _ in range(ROUNDS):
        tables = np.zeros((size, SYMBOLS))
        np.add.at(tables, choice, flat)
        used = tables.sum(axis=1) > 0
        tables = tables[used] + FLOOR
        cost = -np.log2(tables / tables.sum(axis=1, keepdims=True))
        choice, size = (flat @ cost.T).argmin(axis=1), int(used.sum())
    kept, choice = np.unique(choice, return_inverse=True)
    return np.stack([whole(table) for table in tables[kept]]).astype(np.uint16), choice.reshape(counts.shape[:3]).astype(np.uint8)


def whole(counts: np.ndarray) -> np.ndarray:
    """Integers of at least 1 that sum to TOTAL, in proportion to counts [SYMBOLS]."""
    shares = counts / counts.sum() * (TOTAL - len(counts))
    result = np.floor(shares).astype(np.int64) + 1
    rest = TOTAL - int(result.sum())
    result[np.argsort(np.floor(shares) - shares, kind="stable")[:rest]] += 1
    return result
