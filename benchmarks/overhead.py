"""How much of a sweep is spent outside codec, LDPC and metric calls.

    python benchmarks/overhead.py [SCENARIO]

Runs the scenario (the quickstart by default) into a temporary folder, twice: the second run finds everything done. Prints
the seconds inside each kind of call, the share of wall time outside them, and the second run's time. Calls are
timed where they enter the library; nested ones count once.
"""

from __future__ import annotations

import functools
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TARGET = 0.15


class Clock:
    """Wall seconds by kind of call. Only the outermost timed call of the main thread counts."""

    def __init__(self):
        self.seconds: dict[str, float] = {}
        self._inside = False

    def wrap(self, owner, name: str, kind: str) -> None:
        inner = getattr(owner, name)

        @functools.wraps(inner)
        def timed(*args, **kwargs):
            if self._inside or threading.current_thread() is not threading.main_thread():
                return inner(*args, **kwargs)
            self._inside, start = True, time.perf_counter()
            try:
                return inner(*args, **kwargs)
            finally:
                self._inside = False
                self.seconds[kind] = self.seconds.get(kind, 0.0) + time.perf_counter() - start

        setattr(owner, name, timed)


def main() -> None:
    scenario = sys.argv[1] if len(sys.argv) > 1 else str(ROOT / "scenarios/quickstart.yaml")
    import channels.fec as fec
    import semcom
    from semcom.metrics.base import PerImage
    from semcom.receive import image_codec as decoder
    from semcom.transmit import image_codec as encoder

    clock = Clock()
    clock.wrap(encoder, "best_payloads", "codec: rate tables")
    clock.wrap(decoder.CodecReceiver, "decode", "codec: decoding")
    clock.wrap(fec.TransportBlock, "encode", "LDPC: encoding")
    clock.wrap(fec.TransportBlock, "decode", "LDPC: decoding")
    clock.wrap(PerImage, "__call__", "metrics")
    with tempfile.TemporaryDirectory() as folder:
        first, rows = sweep(semcom, scenario, folder)
        inside = sum(clock.seconds.values())
        again, _ = sweep(semcom, scenario, folder)
    print(f"{scenario}: {rows} rows in {first:.1f} s")
    for kind, seconds in sorted(clock.seconds.items(), key=lambda item: -item[1]):
        print(f"  {kind:<20} {seconds:8.1f} s  {100 * seconds / first:5.1f} %")
    outside = (first - inside) / first
    print(f"  {'everything else':<20} {first - inside:8.1f} s  {100 * outside:5.1f} %  (target: at most {100 * TARGET:.0f} %)")
    print(f"  a second run, with nothing to do: {again:.1f} s")
    sys.exit(outside > TARGET)


def sweep(semcom, scenario: str, folder: str) -> tuple[float, int]:
    start = time.perf_counter()
    job = semcom.run(scenario, out=folder)
    for _ in job:
        pass
    return time.perf_counter() - start, job.plan.rows()


if __name__ == "__main__":
    main()
