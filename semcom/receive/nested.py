"""Receivers inside receivers: how one is written, and whether it understands a transmitter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny, ValidationInfo

from semcom import registry
from semcom.component import Component
from semcom.errors import ScenarioError, allowed


def _receive(value: Any, info: ValidationInfo) -> Any:
    """The description of a receiver from what a scenario file says: its kind, or a mapping with its kind."""
    if isinstance(value, str):
        value = {"kind": value}
    if not isinstance(value, Mapping):
        return value
    if "kind" not in value:
        raise ValueError(f"a receiver needs its kind; {allowed('', registry.kinds('receive'))}")
    try:
        description = registry.find("receive", str(value["kind"]), bool((info.context or {}).get("allow_plugins")))
    except ScenarioError as error:
        raise ValueError(str(error)) from error
    return description.model_validate({key: item for key, item in value.items() if key != "kind"}, context=info.context)


#: The type of a field that holds a receiver.
NestedReceiver = Annotated[SerializeAsAny[Component], BeforeValidator(_receive)]


def misfit(receive: Component, transmit: Component) -> str | None:
    """None, or one sentence that says why ``receive`` cannot serve a transmitter's description."""
    fields = [base.model_fields.get("kind") for base in type(transmit).__mro__ if hasattr(base, "model_fields")]
    lineage = {info.default for info in fields if info is not None}
    if receive.TAKES and not receive.TAKES & lineage:
        return f"receive '{receive.kind}' does not understand transmit '{transmit.kind}'; {allowed(transmit.kind, receive.TAKES)}"
    return receive.fits(transmit)
