"""The network of the autoencoder that ships: a linear transform of 8x8 blocks, and residual blocks that improve on it.

    pixels -> block DCT, whitened -> linear map (starts as SoftCast) ------------+-> latents
           |                      +-+                                            |
           +-> unshuffle 4 ---------+-> residual blocks at 1/8 ------------------+

    latents -> linear map (starts as SoftCast) ---------------------------+-> coloured, inverse DCT -+-> pixels
            +-> residual blocks at 1/8 -----------------------------------+                          |
                                       +-> at 1/4 (-> at 1/2) -> shuffle ----------------------------+

Most of its convolutions work at an eighth of the resolution: a training step costs a fraction of AutoencoderTiny's, whose
widest layers see every pixel.
"""

from __future__ import annotations

from types import SimpleNamespace

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import nn
from torch.nn import functional

from semcom.models.block_code import COEFFICIENTS, FACTOR, FINE, Block, block_transform, conv, unshuffled, zero

#: the constant that each detail channel starts with, of its typical deviation: from its mean a decoder learns the scale
PILOT = 0.25
#: keeps the scale of nothing finite
TINY = 1e-12


class BlockAutoencoder(ModelMixin, ConfigMixin):
    """Encoder and decoder, with the interface of diffusers' autoencoders.

    Shapes: pixels [B, 3, H, W] in [-1, 1], H and W multiples of 8; latents [B, C, H/8, W/8]. The decoder takes latents
    of unit mean square over the channels that were sent; a channel that is 0 everywhere was not.
    References: Jakubczak, Katabi 2011, the linear code that training starts from; He et al. 2016, residual blocks;
    Hu et al. 2018, features scaled by their means; Shi et al. 2016, space to depth and back.
    """

    #: pixels of a latent position, along each side
    FACTOR = FACTOR
    #: latents keep their means, which say how a picture was scaled
    KEEPS_MEAN = True
    #: what keeps half precision where the rest is stored in 8 bits: latents are a format, which others were trained on
    EXACT = ("encoder.",)

    @register_to_config
    def __init__(
        self,
        latent_channels: int = 16,
        width: int = 128,
        fine_width: int = 64,
        encoder_blocks: int = 3,
        decoder_blocks: tuple[int, ...] = (5, 1),
    ):
        """``width``: features at 1/8; ``fine_width``: of the decoder at 1/4, half as many at 1/2; ``decoder_blocks``: residual
        blocks there, at 1/8, at 1/4 and, where there are three numbers, at 1/2."""
        super().__init__()
        variance, basis = block_transform()
        self.encoder = Encoder(latent_channels, width, encoder_blocks)
        self.decoder = Decoder(latent_channels, width, fine_width, decoder_blocks)
        # these follow from a closed-form spectrum, so they need no place in a file of weights
        self.register_buffer("white", (basis / variance.sqrt()[:, None]).float()[:, :, None, None], persistent=False)
        self.register_buffer("colour", (basis.T * variance.sqrt()).float()[:, :, None, None], persistent=False)
        self.register_buffer("typical", variance[:latent_channels].sqrt().float(), persistent=False)
        self._start(variance[:latent_channels], basis[:latent_channels])

    def encode(self, pixels: torch.Tensor) -> SimpleNamespace:
        grey = pixels / 2.0
        return SimpleNamespace(latents=self.encoder(grey, functional.conv2d(unshuffled(grey, FACTOR), self.white)))

    def decode(self, latents: torch.Tensor) -> SimpleNamespace:
        sent = (latents != 0).any(dim=3).any(dim=2).float()
        # what latents of typical power were divided by, for unit mean square over those that were sent
        scale = ((sent * self.typical).sum(1) / sent.sum(1).clamp(min=1.0)).clamp(min=TINY).sqrt()
        coefficients, detail = self.decoder(latents, scale[:, None, None, None])
        coarse = functional.pixel_shuffle(functional.conv2d(coefficients, self.colour), FACTOR)
        return SimpleNamespace(sample=2.0 * (coarse.float() + functional.pixel_shuffle(detail, self.decoder.finest).float()))

    @torch.no_grad()
    def _start(self, variance: torch.Tensor, basis: torch.Tensor) -> None:
        """Both linear maps as SoftCast's gains: latents of deviation variance^(1/4), and back."""
        deviation = variance.pow(0.25).float()
        there, back = self.encoder.linear, self.decoder.linear
        for layer in (there, back):
            zero(layer)
        for channel, amount in enumerate(deviation.tolist()):
            there.weight[channel, channel, 1, 1] = amount
            back.weight[channel, channel, 1, 1] = 1.0 / amount
        # means of pictures are no place for a pilot
        pilot = torch.where(basis.sum(dim=1).abs() > 1e-3, 0.0, PILOT * deviation)
        there.bias.copy_(pilot)
        back.bias[: len(pilot)] = -pilot / deviation


class Encoder(nn.Module):
    """Pixels around 0 and their whitened coefficients to latents."""

    def __init__(self, channels: int, width: int, blocks: int):
        super().__init__()
        fine = width // 2
        self.linear = conv(COEFFICIENTS, channels)
        self.stem = conv(3 * FINE**2, fine)
        self.down = nn.Conv2d(fine, width, FACTOR // FINE, stride=FACTOR // FINE)
        self.mix = nn.Conv2d(COEFFICIENTS, width, 1)
        self.blocks = nn.Sequential(*(Block(width) for _ in range(blocks)))
        self.head = zero(conv(width, channels))

    def forward(self, pixels: torch.Tensor, coefficients: torch.Tensor) -> torch.Tensor:
        x = self.down(functional.silu(self.stem(unshuffled(pixels, FINE)))) + self.mix(coefficients)
        return self.linear(coefficients) + self.head(self.blocks(x))


class Decoder(nn.Module):
    """Latents to whitened coefficients, and to details that blocks of pixels do not hold."""

    def __init__(self, channels: int, width: int, fine: int, blocks: tuple[int, ...]):
        super().__init__()
        if not 2 <= len(blocks) <= 3:
            raise ValueError(f"blocks is {list(blocks)}; expected two or three numbers: residual blocks at 1/8, 1/4 (and 1/2)")
        #: pixels of a position of the finest features, along each side
        self.finest = FACTOR // 2 ** (len(blocks) - 1)
        widths = (width, fine, fine // 2)[: len(blocks)]
        self.linear = conv(channels, COEFFICIENTS)
        self.stem = conv(channels, width)
        self.levels = nn.ModuleList(
            nn.Sequential(*(Block(features) for _ in range(count))) for features, count in zip(widths, blocks, strict=True)
        )
        self.ups = nn.ModuleList(nn.Conv2d(coarse, 4 * finer, 1) for coarse, finer in zip(widths, widths[1:], strict=False))
        self.mix = zero(nn.Conv2d(width, COEFFICIENTS, 1))
        self.head = zero(conv(widths[-1], 3 * self.finest**2))

    def forward(self, latents: torch.Tensor, scale: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """([B, 192, h, w], [B, 3 f^2, 8h/f, 8w/f]), f = ``finest``, from latents [B, C, h, w] and their ``scale`` [B, 1, 1, 1]."""
        x = self.levels[0](self.stem(latents))
        coefficients = self.linear(latents * scale) + self.mix(x)
        for up, level in zip(self.ups, self.levels[1:], strict=True):
            x = level(functional.pixel_shuffle(up(x), 2))
        return coefficients, self.head(x)
