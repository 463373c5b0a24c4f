"""A component's description: small, strict, hashable; what a scenario file says and what enters identity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict


class Component(BaseModel):
    """Base of the descriptions of sources, transmitters, links, receivers and metrics.

    A subclass declares ``kind: Literal["..."] = "..."``, its parameters with ``Field(description=...)``,
    and ``build(...)``, which gives the prepared object. Raise ``VERSION`` when its numbers change.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
    VERSION: ClassVar[int] = 1
    #: transmit and link: the kinds of part that it makes or carries, of "bits" and "reals"
    CARRIES: ClassVar[frozenset[str]] = frozenset({"bits", "reals"})
    #: transmit: the names of the parts of its messages; empty where they depend on its parameters
    PARTS: ClassVar[frozenset[str]] = frozenset()
    #: transmit: what each part is made of, where these differ: name -> "bits" or "reals"
    KINDS: ClassVar[Mapping[str, str]] = {}
    #: source: the classes that its label maps hold, without void; empty without label maps
    LABELLED: ClassVar[tuple[str, ...]] = ()
    #: link: its field that says how strong the noise is, where that is neither the channel nor the SNR; empty where it is
    NOISE_AXIS: ClassVar[str] = ""
    #: link: a caveat that every line of a table of results prints; empty where there is none
    NOTE: ClassVar[str] = ""
    #: transmit: sends nothing, so that no channel changes what is received
    SILENT: ClassVar[bool] = False
    #: receive: the transmit kinds that it understands; empty where it takes any message
    TAKES: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def choices(cls, field: str) -> tuple[Any, ...]:
        """What ``field: auto`` chooses from, as a scenario file would say it; empty where there is no such choice."""
        return ()

    def fits(self, transmit: Component) -> str | None:
        """Link and receive: None, or one sentence that says why it cannot serve this transmitter's description."""
        return None

    def available(self) -> str | None:
        """None, or one sentence that says what this component needs, is not on this machine, and how to get it."""
        return None

    def identity(self) -> dict[str, Any]:
        """What of this component changes the numbers: its parameters, its version, and whose code it is.

        The class counts because a plugin may call its kind as one of ours or of another plugin is called.
        """
        return {**self.model_dump(mode="json"), "version": self.VERSION, "class": f"{type(self).__module__}:{type(self).__qualname__}"}

    def tuning_identity(self) -> dict[str, Any]:
        """What else decides how free fields are chosen and changes no number once they are, such as tables of predictions."""
        return {}
