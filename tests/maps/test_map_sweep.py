"""Maps in a sweep: modulation and coding are tuned for what the map keeps, and tables hold it."""

import pytest
import yaml

import semcom
from semcom.source import streets


@pytest.fixture
def scenario(tmp_path, shades, monkeypatch):
    """Three small scenes, tuned on three others; everything is segmented by shades."""
    for name in ("TRAINING_SCENES", "PRIOR_SCENES", "TUNING_SCENES"):
        monkeypatch.setattr(streets, name, 3)
    digital = {"kind": "digital", "mcs": {"best_of": ["qpsk-1/5", "16qam-3/4"]}}
    data = {
        "name": "maps",
        "seed": 3,
        "source": {"kind": "streets", "size": [32, 64], "count": 3},
        "bandwidth_ratio": "1/12",
        "channel": "awgn",
        "sweep": {"snr_db": [1, 20]},
        "systems": {
            "map": {"transmit": {"kind": "segmentation_map", "segmenter": "shades"}, "link": digital, "receive": "map_as_is"},
            "index": {
                "transmit": {"kind": "index_map", "segmenter": "shades"},
                "link": {"kind": "digital", "modulation": {"best_of": ["qpsk", "16qam"]}, "code": "uncoded"},
                "receive": "map_as_is",
            },
            "retrieval": {"transmit": {"kind": "retrieval", "by": "colour"}, "link": digital, "receive": "retrieval"},
            "prior": {"transmit": "prior", "link": "ideal", "receive": "prior", "role": "reference"},
        },
        "metrics": [{"kind": "semantic", "evaluator": "shades", "of": ["received"], "against": ["original"]}, "psnr"],
        "execution": {"device": "cpu"},
    }
    path = tmp_path / "maps.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return path


def test_settings_follow_what_the_map_keeps(scenario, tmp_path):
    job = semcom.run(scenario, out=tmp_path / "out")
    points = job.table()
    assert not job.failures, job.failures
    chosen = {(entry.system, entry.snr_db): entry.settings for entry in job.plan.entries}
    assert chosen["map", 1.0]["miou_received_to_original"] == {"link.mcs": "qpsk-1/5"}
    assert chosen["map", 20.0]["miou_received_to_original"] == {"link.mcs": "16qam-3/4"}
    assert chosen["index", 1.0]["miou_received_to_original"] == {"link.modulation": "qpsk"}
    of = points[(points["metric"] == "miou_received_to_original") & (points["fill"] == "grey")].set_index(["system", "snr_db"])["mean"]
    assert of["map", 20.0] > of["map", 1.0] > of["prior", 20.0] == of["prior", 1.0] > 0
    assert of["index", 20.0] >= of["index", 1.0] > 0 and of["retrieval", 20.0] > 0
