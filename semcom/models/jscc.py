"""A learned joint source-channel coder: pixels to real numbers that are sent as they are, and back.

    pixels --+---------------------(+)--> DCT of the frame, the most important coefficients, gains, pilot --> unit RMS
             +-> residual network --^                                                                         = latents

    received --> scale from the pilot, linear MMSE estimate, DCT back --+---------------------(+)--> pixels
             +-> how well each arrived ---------------------------------+-> residual network --^

Where the residual networks add nothing, as before training, this is SoftCast with a pilot in place of side information:
training starts from a good linear code, and learns what a linear code cannot do. How well the numbers arrive, or are
expected to, steers both networks (attention over features, as in ADJSCC). Both see the picture as whitened block
coefficients, so that their weights are alike in size. Importance is typical variance: any number of leading latents is a code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import nn
from torch.nn import functional

from semcom.models.block_code import COEFFICIENTS, FACTOR, FINE, Block, block_transform, colour_planes, conv, unshuffled, zero
from semcom.softcast import GREY, dct_matrix, typical_variance

#: the SNR at which an element has arrived well, and the best that is told apart from it, as a share of that one's capacity
WELL_DB, BEST = 20.0, 1.5
#: share of the typical power that the pilot takes, and which share of the latents it is, at least so many
PILOT, PILOT_PLACES, FEWEST = 0.02, 1 / 128, 8
#: how far pictures' powers are from typical: usual deviation of the logarithm, and the farthest factor
SPREAD, FARTHEST = 0.25, 4.0
#: keeps ratios finite: of powers, and of noise where there is none
TINY, NOISELESS = 1e-12, 1e-6


def reliability(snr: torch.Tensor) -> torch.Tensor:
    """Capacity log2(1 + SNR) of an element, 1 at 20 dB, at most 1.5; ``snr`` is a ratio, 0 to inf."""
    return (torch.log1p(snr) / math.log1p(10.0 ** (WELL_DB / 10.0))).clamp(max=BEST)


class JSCC(ModelMixin, ConfigMixin):
    """Transmitter and receiver of one learned code.

    Shapes: pixels [B, 3, H, W] in [0, 1], H and W multiples of 8; latents [B, N] in order of importance, N = ``channels`` a
    block of 8x8 pixels.
    References: Bourtsoulatze, Kurka, Gunduz 2019, "Deep joint source-channel coding for wireless image transmission";
    Xu, Ai, Zhang, Yang 2021, "Wireless image transmission using deep source channel coding with attention modules";
    Jakubczak, Katabi 2011, the linear code that training starts from.
    """

    #: sides of pictures are multiples of this
    FACTOR = FACTOR

    @register_to_config
    def __init__(
        self, channels: int = 32, width: int = 96, fine_width: int = 64, encoder_blocks: int = 2, decoder_blocks: int = 4
    ):
        super().__init__()
        self.channels = channels
        self.encoder = Network(channels, width, fine_width, encoder_blocks, caution=0.5)
        self.decoder = Network(channels, width, fine_width, decoder_blocks, caution=1.0)
        self.detail = Detail(channels, width, fine_width)
        self.allot, self.trim = zero(nn.Linear(channels, channels)), zero(nn.Linear(channels, channels))
        variance, basis = block_transform()
        # both follow from the closed-form spectrum, so they need no place in a file of weights
        self.register_buffer("white", (basis / variance.sqrt()[:, None]).float()[:, :, None, None], persistent=False)
        self.register_buffer("colour", (basis.T * variance.sqrt()).float()[:, :, None, None], persistent=False)

    def latents(self, size: tuple[int, int]) -> int:
        """How many reals a picture of ``size`` (H, W) has at most."""
        return self.channels * size[0] * size[1] // FACTOR**2

    def encode(self, pixels: torch.Tensor, snr_db: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
        """float32 [B, N]: unit mean square over the first ``count`` int64 [B] latents, 0 behind them.

        ``snr_db`` float32 [B] is the average SNR.
        """
        frame = frame_of(self.channels, *pixels.shape[2:], pixels.device)
        sent = frame.first(count)
        expected = self._bands(reliability(10.0 ** (snr_db / 10.0))[:, None] * sent)
        changed = pixels - GREY + self._pixels(self.encoder(pixels - GREY, self._blocks(pixels - GREY), expected)[0])
        gains = self._by_band(self.allot(expected).exp(), frame) / frame.root.sqrt()
        is_pilot, amplitude = frame.pilot(count)
        raw = torch.where(is_pilot, amplitude, frame.analyse(changed) * gains) * sent
        power = raw.square().sum(dim=1, keepdim=True) / count[:, None]
        return raw * torch.rsqrt(power + TINY)

    def decode(
        self, received: torch.Tensor, noise_std: torch.Tensor, size: tuple[int, int], count: torch.Tensor
    ) -> torch.Tensor:
        """float32 pixels [B, 3, H, W], not clamped, from what arrived and its noise levels [B, N], 0 to inf.

        ``count`` [B] is how many of them were sent.
        """
        frame = frame_of(self.channels, *size, received.device)
        arrived = noise_std.isfinite() & frame.first(count).bool()
        variance = torch.where(arrived, noise_std, 1.0).square().clamp(min=NOISELESS)
        received = torch.where(arrived, received, 0.0)
        known = self._bands(torch.where(arrived, reliability(1.0 / variance), 0.0))
        scale, typical = frame.scale(received, torch.where(arrived, 1.0 / variance, 0.0), count)
        is_pilot, _ = frame.pilot(count)
        # signal and divisor follow the picture's level alike, so that their ratio is typical
        gain = torch.where(arrived & ~is_pilot, frame.root / (frame.root + variance * typical.square()), 0.0)
        values = received * scale * gain * frame.root.sqrt() * self._by_band(self.trim(known).exp(), frame)
        linear = frame.synthesise(values)
        blocks, features = self.decoder(linear, self._blocks(linear), known)
        return linear + self._pixels(blocks) + self.detail(features, known) + GREY

    def forward(
        self, pixels: torch.Tensor, snr_db: torch.Tensor, count: torch.Tensor, noise_std: torch.Tensor, noise: torch.Tensor
    ) -> torch.Tensor:
        """What training needs: pixels, not clamped, after ``noise_std`` times ``noise`` was added, both [B, N]."""
        return self.decode(self.encode(pixels, snr_db, count) + noise_std * noise, noise_std, pixels.shape[2:], count)

    def _bands(self, values: torch.Tensor) -> torch.Tensor:
        """Means over bands of importance, [B, C], of values [B, N]."""
        return values.unflatten(1, (self.channels, -1)).mean(dim=2)

    def _by_band(self, values: torch.Tensor, frame: Frame) -> torch.Tensor:
        """A factor for every latent [B, N] from one for every band of importance [B, C]."""
        return values.repeat_interleave(len(frame.index) // self.channels, dim=1)

    def _blocks(self, pixels: torch.Tensor) -> torch.Tensor:
        """Whitened block DCT [B, 192, H / 8, W / 8], the strongest first."""
        return functional.conv2d(unshuffled(pixels, FACTOR), self.white)

    def _pixels(self, blocks: torch.Tensor) -> torch.Tensor:
        """The inverse of `_blocks`, in float32."""
        return functional.pixel_shuffle(functional.conv2d(blocks, self.colour), FACTOR).float()


@dataclass(frozen=True)
class Frame:
    """The most important DCT coefficients of pictures of one size, which both ends know in closed form.

    ``index`` int64 [N] are their places among all 3 H W, the most important first; ``root`` [N] are the square roots of
    their typical variances, which are the typical powers of SoftCast's latents, variance^(1/2).
    """

    size: tuple[int, int]
    index: torch.Tensor
    root: torch.Tensor
    planes: torch.Tensor
    rows: torch.Tensor
    columns: torch.Tensor

    def analyse(self, pixels: torch.Tensor) -> torch.Tensor:
        """Coefficients [B, N] of pixels [B, 3, H, W] around 0."""
        with torch.autocast(pixels.device.type, enabled=False):
            planes = torch.einsum("pc,bchw->bphw", self.planes, pixels.float())
            return (self.rows @ planes @ self.columns.T).flatten(1)[:, self.index]

    def synthesise(self, coefficients: torch.Tensor) -> torch.Tensor:
        """Pixels [B, 3, H, W] around 0 of coefficients [B, N]; the others are 0."""
        everything = coefficients.new_zeros((len(coefficients), 3 * math.prod(self.size)))
        spectrum = everything.index_copy(1, self.index, coefficients).reshape(-1, 3, *self.size)
        with torch.autocast(coefficients.device.type, enabled=False):
            return torch.einsum("pc,bphw->bchw", self.planes, self.rows.T @ spectrum @ self.columns)

    def first(self, count: torch.Tensor) -> torch.Tensor:
        """float32 [B, N]: 1 for the first ``count`` [B] latents, else 0."""
        return (torch.arange(len(self.index), device=count.device) < count[:, None]).float()

    def pilot(self, count: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(which latents are the pilot, bool [B, N]; its amplitude [B, 1]): the least important of ``count`` [B]."""
        places = (count * PILOT_PLACES).long().clamp(min=FEWEST).clamp(max=count)[:, None]
        at = torch.arange(len(self.index), device=count.device)
        is_pilot = (at >= count[:, None] - places) & (at < count[:, None])
        data = self.root.cumsum(0)[count - 1][:, None]
        return is_pilot, (PILOT * data / places).sqrt()

    def scale(self, received: torch.Tensor, weight: torch.Tensor, count: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """By what latents were divided, [B, 1], and by what typical ones are: the pilot counts as far as it is sure.

        ``weight`` [B, N] is 1 / noise variance of what was received, 0 where nothing arrived.
        """
        is_pilot, amplitude = self.pilot(count)
        data = (self.root * (self.first(count) * ~is_pilot)).sum(dim=1, keepdim=True)
        typical = ((data + amplitude.square() * is_pilot.sum(dim=1, keepdim=True)) / count[:, None]).sqrt()
        weight = torch.where(is_pilot, weight, 0.0)
        sure = (weight.sum(dim=1, keepdim=True) * (amplitude / typical).square()).clamp(min=TINY)
        seen = (weight * received).sum(dim=1, keepdim=True) * amplitude / typical
        ratio = (seen / sure).clamp(1.0 / FARTHEST, FARTHEST)  # typical / true
        certainty = SPREAD**2 * sure / (SPREAD**2 * sure + 1.0)
        return typical * ratio.pow(-certainty), typical


@lru_cache(maxsize=16)
def frame_of(channels: int, height: int, width: int, device: torch.device) -> Frame:
    """The coefficients of pictures of ``height`` x ``width`` pixels, ``channels`` a block."""
    variance = typical_variance((height, width)).flatten()
    index = torch.argsort(variance, descending=True, stable=True)[: channels * height * width // FACTOR**2]
    root, rows, columns = variance[index].sqrt(), dct_matrix(height), dct_matrix(width)
    numbers = (value.float().to(device) for value in (root, colour_planes(), rows, columns))
    return Frame((height, width), index.to(device), *numbers)


class Correction(nn.Module):
    """A convolution that adds nothing at first, and then by ``caution`` times usual steps: what it corrects is good already.

    Adam moves every weight by about the learning rate, and these sum over 10^3 inputs: usual steps would be noise that
    hides what high SNRs show.
    """

    def __init__(self, inputs: int, outputs: int, side: int, caution: float):
        super().__init__()
        self.caution = caution
        self.conv = zero(nn.Conv2d(inputs, outputs, side, padding=side // 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.caution * self.conv(x)


class Network(nn.Module):
    """A picture to what is added to its whitened block coefficients [B, 192, h, w], and the features behind that."""

    def __init__(self, known: int, width: int, fine: int, blocks: int, caution: float):
        super().__init__()
        self.stem = conv(3 * FINE**2, fine)
        self.down = nn.Conv2d(fine, width, FACTOR // FINE, stride=FACTOR // FINE)
        self.mix = nn.Conv2d(COEFFICIENTS, width, 1)
        self.blocks = nn.ModuleList(Block(width, known, bounded=False) for _ in range(blocks))
        self.head = Correction(width, COEFFICIENTS, 1, caution)

    def forward(
        self, pixels: torch.Tensor, blocks: torch.Tensor, known: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.down(functional.silu(self.stem(unshuffled(pixels, FINE)))) + self.mix(blocks)
        for block in self.blocks:
            x = block(x, known)
        return self.head(x), x


class Detail(nn.Module):
    """Features to what is added to pixels across the borders of blocks."""

    def __init__(self, known: int, width: int, fine: int):
        super().__init__()
        self.up = nn.Conv2d(width, fine * (FACTOR // FINE) ** 2, 1)
        self.block = Block(fine, known, bounded=False)
        self.head = Correction(fine, 3 * FINE**2, 3, caution=0.2)

    def forward(self, features: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        x = self.block(functional.pixel_shuffle(self.up(features), FACTOR // FINE), known)
        return functional.pixel_shuffle(self.head(x), FINE).float()
