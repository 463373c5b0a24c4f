"""Still-picture codecs and the format of their payloads: what the `image_codec` transmitter and receiver share."""

from semcom.codecs.base import Codec, Undecodable
from semcom.codecs.registry import NAMES, codec, numbered, versions

__all__ = ["NAMES", "Codec", "Undecodable", "codec", "numbered", "versions"]
