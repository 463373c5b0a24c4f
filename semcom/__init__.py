"""Generative semantic communication, compared honestly with bit recovery over simulated radio channels.

Example::

    import semcom

    images = semcom.images("photos")
    system = semcom.System.of("softcast", "analog", "softcast", channel={"kind": "rician", "k_db": 6})
    result = system.send(images, snr_db=10, bandwidth_ratio="1/24")
    table = semcom.run("scenarios/quickstart.yaml").table()
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={"system": ["System"], "api": ["images", "load", "run"], "types": ["Condition", "ImageBatch", "Reconstruction"]},
)
