"""Links inside links: how one is written, and how what several report adds up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import lazy_loader as lazy
from pydantic import BeforeValidator, SerializeAsAny, ValidationInfo

from semcom import registry
from semcom.component import Component
from semcom.errors import ScenarioError
from semcom.types import Usage

torch = lazy.load("torch")


def _link(value: Any, info: ValidationInfo) -> Any:
    """The description of a link from what a scenario file says: its kind, or a mapping with its kind."""
    if isinstance(value, str):
        value = {"kind": value}
    if not isinstance(value, Mapping):
        return value
    if "kind" not in value:
        raise ValueError(f"a link needs its kind; allowed: {', '.join(sorted(registry.kinds('link')))}")
    allow_plugins = bool((info.context or {}).get("allow_plugins"))
    try:
        description = registry.find("link", str(value["kind"]), allow_plugins)
    except ScenarioError as error:
        raise ValueError(str(error)) from error
    # a plugin's kind is where it is found, its own name for itself stands in its class
    fields = {key: item for key, item in value.items() if key != "kind"}
    return description.model_validate(fields, context=info.context)


#: The type of a field that holds a link.
NestedLink = Annotated[SerializeAsAny[Component], BeforeValidator(_link)]


def sums(mappings: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Purposes or counts added by name, in the order in which they first appear."""
    total: dict[str, torch.Tensor] = {}
    for mapping in mappings:
        for name, values in mapping.items():
            total[name] = total[name] + values if name in total else values
    return total


def add_up(usages: Sequence[Usage], granted: int, unused: int) -> Usage:
    """One ledger of several, and of ``unused`` beside them."""
    whole = torch.full_like(usages[0].granted, granted)
    uses = sums([*(usage.uses for usage in usages), {"unused": torch.full_like(whole, unused)}])
    free = tuple(dict.fromkeys(item for usage in usages for item in usage.free))
    return Usage(whole, uses, sum(usage.energy for usage in usages), free)
