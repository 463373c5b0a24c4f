"""The process that runs Sionna RT: traces the paths between two positions and writes them to a file.

    python -m channels.trace_paths '{"scene": "munich", "transmitter": [8.5, 21, 27], "receiver": [44, 95, 1.5],
                                     "carrier_ghz": 3.5, "max_depth": 5}' paths.npz

It is a process of its own because Dr.Jit aborts the one it runs in where its LLVM does not suit it. It needs Sionna RT and
imports nothing of ours: the interpreter may be that of another environment.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np


def trace(scene: str, transmitter: list[float], receiver: list[float], carrier_ghz: float, max_depth: int) -> dict[str, np.ndarray]:
    """gains complex [P], delays [P] s since departure, and angles [4, P] radian of every path that Sionna RT finds."""
    import sionna.rt as rt

    world = rt.load_scene(_scene_file(scene, rt.scene))
    world.frequency = carrier_ghz * 1e9
    world.tx_array = world.rx_array = rt.PlanarArray(num_rows=1, num_cols=1, pattern="iso", polarization="V")
    world.add(rt.Transmitter(name="tx", position=transmitter))
    world.add(rt.Receiver(name="rx", position=receiver))
    paths = rt.PathSolver()(scene=world, max_depth=max_depth, synthetic_array=True, seed=1)
    gains, delays = paths.cir(normalize_delays=False, out_type="numpy")
    angles = [np.asarray(a)[0, 0] for a in (paths.phi_t, paths.phi_r, paths.theta_t, paths.theta_r)]
    gains, delays = gains[0, 0, 0, 0, :, 0], delays[0, 0]
    found = (np.abs(gains) > 0) & (delays >= 0)
    if not found.any():
        raise SystemExit(f"no path of at most {max_depth} interactions leads from the transmitter to the receiver")
    return {"gains": gains[found], "delays": delays[found], "angles": np.stack(angles)[:, found]}


def _scene_file(scene: str, shipped: object) -> str:
    """The file of a scene that Sionna RT ships, known by its name; or ``scene`` itself, a file."""
    files = {name: file for name, file in vars(shipped).items() if isinstance(file, str) and file.endswith(".xml")}
    if scene not in files and not Path(scene).is_file():
        raise SystemExit(f"there is no such scene; name a scene file (.xml) or one of {', '.join(sorted(files))}")
    return files.get(scene, scene)


if __name__ == "__main__":
    asked, file = sys.argv[1:]
    np.savez(file, **trace(**json.loads(asked)))
