"""Numbers as text, for the data of the figures that compute."""

from base64 import b64encode

import numpy as np


def packed(values: np.ndarray) -> str:
    """The bytes of some numbers, in base64."""
    return b64encode(values.tobytes()).decode()
