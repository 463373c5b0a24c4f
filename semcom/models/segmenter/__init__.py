"""Networks that tell the class of every pixel: those that ship, those that `semcom train` made, and Hugging Face's.

Importing this is cheap: torch and the libraries of the networks load with what needs them.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "classes": ["COLOURS", "NAMES", "OURS"],
        "names": ["identity", "missing", "named"],
        "network": ["Segmenter"],
    },
)
