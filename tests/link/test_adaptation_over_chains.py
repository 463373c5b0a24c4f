"""What a rate is chosen by: the noise that there is, not the noise that a receiver believes in."""

import numpy as np
import pytest

from channels.awgn import AWGN
from channels.chain import normal
from channels.cochannel import CoChannel
from channels.csi import CSI
from semcom.link.adaptation import Gains

SYMBOLS = 4000


@pytest.mark.parametrize("mismatch_db", [-6.0, 3.0])
def test_a_receiver_that_believes_a_wrong_snr_misleads_no_rate(mismatch_db):
    chain = normal([AWGN(), CSI(snr_mismatch_db=mismatch_db)]).build("cpu")
    found = Gains(chain, 50).snr(SYMBOLS, 10.0)
    assert found.shape == (50, 1)
    # each is a mean of |error|^2, exponential, over the symbols: relative deviation 1 / sqrt(SYMBOLS)
    assert np.all(np.abs(found / 10.0 - 1.0) < 5.0 / np.sqrt(SYMBOLS))


def test_an_interferer_whose_power_is_known_on_average_alone_is_met_as_it_is():
    """The same bursts, whatever the receiver knows of the interferer: 1 / (sigma^2 + |g|^2 / SIR), or a misjudged level."""
    found = {
        known: Gains(normal([AWGN(), CoChannel(sir_db=5.0, known=known)]).build("cpu"), 50).snr(SYMBOLS, 15.0)[:, 0]
        for known in ("power", "average")
    }
    assert np.allclose(found["average"], found["power"], rtol=1e-4)
    assert found["power"].max() > 4.0 * found["power"].min()
