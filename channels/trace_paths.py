"""The process that runs Sionna RT: reads a request, traces the paths between two positions, writes them to a file.

It is a process of its own because Dr.Jit aborts the one it runs in where its LLVM does not suit it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from channels.impulse_response import Request, write


def trace(request: Request, target: Path) -> None:
    """Trace with Sionna RT and write the impulse response to ``target``."""
    import sionna.rt as rt

    named = getattr(rt.scene, request.scene, None)
    scene = rt.load_scene(named or request.scene)
    scene.frequency = request.carrier_ghz * 1e9
    scene.tx_array = scene.rx_array = rt.PlanarArray(num_rows=1, num_cols=1, pattern="iso", polarization="V")
    scene.add(rt.Transmitter(name="tx", position=list(request.transmitter)))
    scene.add(rt.Receiver(name="rx", position=list(request.receiver)))
    paths = rt.PathSolver()(scene=scene, max_depth=request.max_depth, synthetic_array=True, seed=1)
    gains, delays = paths.cir(normalize_delays=False, out_type="numpy")
    angles = [np.asarray(a)[0, 0] for a in (paths.phi_t, paths.phi_r, paths.theta_t, paths.theta_r)]
    gains, delays = gains[0, 0, 0, 0, :, 0], delays[0, 0]
    found = (np.abs(gains) > 0) & (delays >= 0)
    if not found.any():
        raise SystemExit(f"no path of at most {request.max_depth} interactions leads from the transmitter to the receiver")
    write(target, request, gains[found], delays[found], np.stack(angles)[:, found])


if __name__ == "__main__":
    asked, file = sys.argv[1:]
    trace(Request.from_json(json.loads(asked)), Path(file))
