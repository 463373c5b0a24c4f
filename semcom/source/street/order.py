"""Which of many boxes is drawn first, so that near ones cover far ones."""

from __future__ import annotations

import numpy as np


def far_to_near(boxes: np.ndarray, camera_across: float) -> list[int]:
    """An order of boxes [n, 4] = (across from, to, Z from, to): whoever may be covered comes first.

    Two boxes are told apart by a plane between them, along the road or across it: the one on the camera's side of the
    plane is in front. Where planes disagree, neither can cover the other. Boxes that no plane parts go by their far ends.
    """
    left, right, near, far = (boxes[:, i] for i in range(4))

    def first(a, b):
        return a[:, None], b[None, :]

    a_near, b_far = first(near, far)
    a_left, b_right = first(left, right)
    a_right, b_left = first(right, left)
    behind = a_near >= b_far
    behind |= (a_left >= b_right) & (camera_across <= a_left)
    behind |= (a_right <= b_left) & (camera_across >= a_right)
    waits = behind & ~behind.T  # [i, j]: j waits for i
    pending = waits.sum(axis=0)
    order: list[int] = []
    done = np.zeros(len(boxes), bool)
    while len(order) < len(boxes):
        ready = np.flatnonzero((pending == 0) & ~done)
        candidates = ready if len(ready) else np.flatnonzero(~done)  # a ring of overlaps: the farthest first
        i = int(candidates[np.argmax(far[candidates])])
        order.append(i)
        done[i] = True
        pending -= waits[i]
    return order
