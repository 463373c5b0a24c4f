"""Error maps: where a label map is wrong, and whether that is the system's doing."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from semcom.classes import VOID
from semcom.figures.textures import Kind

RIGHT, WRONG_BEFORE, NEW, REPAIRED, UNSCORED = range(5)
#: lightness (CIE L*) 96, 78, 26, 52 and white with dots: told apart in grey as well
ERROR_KINDS: Mapping[int, Kind] = {
    RIGHT: Kind("right", (244, 244, 244)),
    WRONG_BEFORE: Kind("wrong on the original too", (192, 192, 192)),
    NEW: Kind("new error", (122, 17, 25)),
    REPAIRED: Kind("repaired", (30, 127, 205)),
    UNSCORED: Kind("void, not scored", (255, 255, 255), "dotted"),
}
#: where there is no truth, and the evaluator's map of the original stands in its place
DIFFERENCE_KINDS: Mapping[int, Kind] = {
    RIGHT: Kind("as on the original", (244, 244, 244)),
    NEW: Kind("not as on the original", (122, 17, 25)),
}


def error_map(truth: np.ndarray, on_original: np.ndarray, now: np.ndarray) -> np.ndarray:
    """The keys of `ERROR_KINDS` uint8 [H, W], of three maps [H, W]: true classes, the evaluator's of the original, and one to judge.

    An unknown class is a wrong one; where the truth is void nothing is scored.

    >>> error_map(*np.array([[0, 0, 0, 0, 11], [0, 3, 0, 3, 3], [0, 3, 255, 0, 0]])[:, None])
    array([[0, 1, 2, 3, 4]], dtype=uint8)
    """
    wrong_before, wrong_now = on_original != truth, now != truth
    kinds = np.select([wrong_before & wrong_now, wrong_now, wrong_before], [WRONG_BEFORE, NEW, REPAIRED], RIGHT)
    return np.where(truth >= VOID, UNSCORED, kinds).astype(np.uint8)
