"""What transmitters and receivers of label maps share: forms of messages, what is known of a map that arrived, colours.

A map holds eleven classes (`semcom.classes`, 0 to 10) and void (11); what a receiver does not know is UNKNOWN (255).
The part of a message is called ``map`` and says its `form`; a form is a module and a line in `semcom.maps.received.FORMS`.
"""

from semcom.classes import UNKNOWN, VOID
from semcom.maps.classes import LABELS, colours_of, paint
from semcom.maps.received import FORMS, PART, ReceivedMap, SoftMap, received_map, soft_map
from semcom.maps.resize import resize
from semcom.maps.segmented import NamedSegmenter, SegmentedMaps

__all__ = [
    "FORMS", "LABELS", "PART", "UNKNOWN", "VOID", "NamedSegmenter", "ReceivedMap", "SegmentedMaps", "SoftMap", "colours_of",
    "paint", "received_map", "resize", "soft_map",
]  # fmt: skip
