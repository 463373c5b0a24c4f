"""A component's description: small, strict, hashable; what a scenario file says and what enters identity."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict


class Component(BaseModel):
    """Base of the descriptions of sources, transmitters, links, receivers and metrics.

    A subclass declares ``kind: Literal["..."] = "..."``, its parameters with ``Field(description=...)``,
    and ``build(...)``, which gives the prepared object. Raise ``VERSION`` when its numbers change.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
    VERSION: ClassVar[int] = 1

    def identity(self) -> dict[str, Any]:
        """What of this component changes the numbers: its parameters and its version."""
        return {**self.model_dump(mode="json"), "version": self.VERSION}
