"""Whether the parts of a system fit each other, and metrics their images."""

from __future__ import annotations

from pydantic import BaseModel

from semcom.errors import allowed
from semcom.scenario.components import offered
from semcom.scenario.yaml_file import Keys, Problem

_WORDS = {"bits": "bits", "reals": "real numbers"}


def system_problems(transmit: BaseModel, link: BaseModel, receive: BaseModel, at: Keys) -> list[Problem]:
    """What keeps three valid components from being one system."""
    found = []
    made, carried = _carries(transmit), _carries(link)
    if not made & carried:
        names = offered("link", lambda other: _carries(other) & made)
        found.append(
            Problem(
                (*at, "link"),
                f"link '{_kind(link)}' carries {_and(carried)} and transmit '{_kind(transmit)}' makes {_and(made)}; "
                + allowed("", names),
            )
        )
    elif missing := frozenset(getattr(transmit, "KINDS", {}).values()) - carried:
        sentence = f"link '{_kind(link)}' carries {_and(carried)} and transmit '{_kind(transmit)}' makes {_and(missing)} as well"
        found.append(Problem((*at, "link"), f"{sentence}; give each part a link of its own with link 'parts'"))
    takes = getattr(receive, "TAKES", frozenset())
    if takes and not takes & _lineage(transmit):
        names = offered("receive", lambda other: _understands(other, transmit))
        found.append(
            Problem(
                (*at, "receive"),
                f"receive '{_kind(receive)}' does not understand transmit '{_kind(transmit)}'; {allowed(_kind(transmit), names)}",
            )
        )
    for part in (link, receive):
        if (fits := getattr(part, "fits", None)) and (reason := fits(transmit)):
            found.append(Problem((*at, "link" if part is link else "receive"), reason))
    return found


def _carries(component) -> frozenset[str]:
    return getattr(component, "CARRIES", frozenset(_WORDS))


def _understands(receive, transmit: BaseModel) -> bool:
    takes = getattr(receive, "TAKES", frozenset())
    return not takes or bool(takes & _lineage(transmit))


def _lineage(description: BaseModel) -> set[str]:
    """A description's kind and those of its bases: what understands a codec understands one derived from it."""
    fields = [base.model_fields.get("kind") for base in type(description).__mro__ if hasattr(base, "model_fields")]
    return {info.default for info in fields if info is not None} | {_kind(description)}


def _kind(description: BaseModel) -> str:
    return getattr(description, "kind", type(description).__name__)


def _and(names: frozenset[str]) -> str:
    return " and ".join(_WORDS.get(name, name) for name in sorted(names)) or "nothing"
