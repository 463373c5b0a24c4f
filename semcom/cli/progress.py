"""Progress on stderr: what, how far, how long to go."""

from __future__ import annotations

import sys
import time

#: seconds between lines where stderr is a file or a pipe
QUIET_INTERVAL = 5.0


class ProgressLine:
    """One line that rewrites itself on a terminal, and a line now and then elsewhere."""

    def __init__(self, stream=None):
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._last, self._stage = 0.0, ""

    def show(self, progress) -> None:
        now, new_stage = time.monotonic(), progress.stage != self._stage
        finished = progress.total and progress.done == progress.total
        if not (self._terminal or new_stage or finished or now - self._last >= QUIET_INTERVAL):
            return
        self._last, self._stage = now, progress.stage
        line = sentence(progress)
        self._stream.write(f"\r{line}\x1b[K" if self._terminal else f"{line}\n")
        self._stream.flush()

    def close(self) -> None:
        if self._terminal:
            self._stream.write("\n")


def sentence(progress) -> str:
    """Such as: sweeping 120 of 480 (25 %), 0:31 so far, about 1:33 to go."""
    parts = [progress.stage]
    if progress.total:
        parts[0] += f" {progress.done} of {progress.total} ({100 * progress.done // progress.total} %)"
    parts.append(f"{clock(progress.elapsed_s)} so far")
    if progress.left_s is not None and progress.done < progress.total:
        parts.append(f"about {clock(progress.left_s)} to go")
    if progress.failed:
        parts.append(f"{progress.failed} batches failed")
    return ", ".join(parts)


def clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
