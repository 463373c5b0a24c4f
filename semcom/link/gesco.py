"""The analog path of GESCO's circulating code: noise by a printed label on planes that keep to no power."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import lazy_loader as lazy
from pydantic import Field

from semcom.component import Component
from semcom.errors import Infeasible
from semcom.link import draws, header
from semcom.maps import gesco
from semcom.maps.received import CLASSES, PART
from semcom.rng import Streams
from semcom.types import Budget, Condition, Message, Received, ReceivedBits, ReceivedReals, Usage

torch = lazy.load("torch")

FREE = (
    "gesco: no power normalisation; the power follows from the map",
    "gesco: the list of classes arrives without error",
    "gesco: not comparable with systems that keep to a bandwidth and a power",
)


class Gesco(Component):
    """Noise of a printed label on the planes of `legacy_map`: a published path as it circulates, for reference alone.

    The noise's standard deviation belongs to ``gesco_label``, which its figures print as an SNR and which is none. Planes
    have a peak of 1, which makes of it the PSNR below; a plane of one class in K has the mean power 1/K, so that the SNR
    is lower by 10 log10 of the number of planes:

    ====================  ====  =====  =====  =====  =====  =====  =====  =====
    printed label         100   30     25     20     15     10     5      1
    noise std             0     .05    .08    .13    .22    .36    .6     .9
    PSNR [dB]             inf   26.0   21.9   17.7   13.2   8.9    4.4    0.9
    SNR of 9 planes [dB]  inf   16.5   12.4   8.2    3.6    -0.7   -5.1   -8.6
    ====================  ====  =====  =====  =====  =====  =====  =====  =====

    Rows hold ``gesco_psnr_db`` and ``gesco_snr_db``, the latter measured: mean square of what an image sends over the
    noise's. The scenario's channel and snr_db are not met; a sweep over snr_db is refused, and the axis is
    ``systems.*.link.gesco_label``. Nothing here is comparable with systems that keep to a power and a bandwidth: an image of
    n numbers takes (planes/2) n/3 channel uses and those of the class list, 1.5 n with 8 classes and edges. A grant that is
    smaller is infeasible; 11/5 holds all 12 classes.

    Noise is the scenario's, keyed by image and repeat: all labels and receivers meet the same.

    Units: values in units of a plane's peak. References: Grassucci, Barbarossa, Comminiello 2023, arXiv 2306.04321; its code.

    Example::

        link: {kind: gesco, gesco_label: 10}
    """

    CARRIES: ClassVar[frozenset[str]] = frozenset({gesco.CARRIED})
    NOISE_AXIS: ClassVar[str] = "gesco_label"
    NOTE: ClassVar[str] = "not comparable: noise of gesco_label (snr_db is not met), over the bandwidth and the power of other systems"

    kind: Literal["gesco"] = "gesco"
    gesco_label: Literal[100, 30, 25, 20, 15, 10, 5, 1] = Field(
        10, description="what the published figures print beside this noise: 100, 30, 25, 20, 15, 10, 5 or 1; no SNR in dB"
    )

    def build(self, channel, device) -> GescoLink:
        return GescoLink(self.gesco_label, device)


class GescoLink:
    """A prepared `semcom.protocols.Link`."""

    def __init__(self, label: int, device: torch.device | str = "cpu"):
        self.label, self.std, self.device = label, gesco.NOISE_STD[label], device

    def budget(self, channel_uses: int, condition: Condition, side_bits: int = 0) -> Budget:
        left = channel_uses - header.uses(side_bits)
        if left < 1:
            raise Infeasible(f"a header of {side_bits} bits takes {header.uses(side_bits)} channel uses of {channel_uses}")
        return Budget(channel_uses, reals=gesco.REALS_A_USE * left)

    def success(self, condition: Condition, channel_uses: int) -> None:
        """Nothing here arrives as a whole or not at all."""

    def send(self, message: Message, conditions: Sequence[Condition], streams: Streams) -> Received:
        """Planes with noise; the conditions do not matter."""
        part, feasible = message.parts[PART], message.feasible.to(self.device)
        values, classes = part.values.to(self.device), message.side.bits.to(self.device)
        length = values.shape[1]
        count = gesco.planes_sent(classes) * (length // gesco.MOST_PLANES)
        sent = (torch.arange(length, device=self.device) < count[:, None]) & feasible[:, None]
        noise = draws.noise(streams.for_system(""), gesco.channel_uses(length))[:, :length].to(self.device)
        arrived = ReceivedReals(
            values=torch.where(sent, values + self.std * noise, 0.0),
            noise_std=torch.where(sent, self.std, math.inf),
            shape=part.shape,
            ok=feasible,
        )
        energy = torch.linalg.vector_norm(values, dim=1).double().square()
        usage = self._usage(message, feasible, count, energy)
        return Received(
            parts={PART: arrived},
            usage=usage.check(),
            image_size=message.image_size,
            side=ReceivedBits(classes, message.side.lengths.to(self.device), feasible),
            counts={"channel_uses_spent": usage.granted - usage.uses["unused"]},
            reports=self._reports(energy / count),
        ).agreed(message)

    def _usage(self, message: Message, feasible: torch.Tensor, count: torch.Tensor, energy: torch.Tensor) -> Usage:
        granted, front = message.budget.channel_uses, header.uses(CLASSES)
        payload = torch.where(feasible, gesco.channel_uses(count), 0)
        spent = {"payload": payload, "header": torch.where(feasible, front, 0)}
        free = (
            *message.free,
            f"gesco: noise of the printed label {self.label} alone, not that of the scenario's channel and snr_db",
            *FREE,
        )
        return Usage(
            granted=torch.full_like(payload, granted),
            uses={**spent, "unused": granted - sum(spent.values())},
            energy=torch.where(feasible, energy / gesco.REALS_A_USE + front, 0.0),
            free=free,
        )

    def _reports(self, power: torch.Tensor) -> dict[str, torch.Tensor]:
        """The label, and what it is: peak and mean power of what is sent over the power of the noise [dB]."""
        ones = torch.ones_like(power)
        snr_db = 10.0 * power.log10() + gesco.psnr_db(self.label)
        return {"gesco_label": self.label * ones, "gesco_psnr_db": gesco.psnr_db(self.label) * ones, "gesco_snr_db": snr_db}

