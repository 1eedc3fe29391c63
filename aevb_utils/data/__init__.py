"""The data sets, a file each, as one type; and how a published file is had and read.

A real file is looked for in the folder that ``AEVB_DATA_DIR`` names, then in the cache (``AEVB_CACHE_DIR``, or
the user's own cache folder), then on the web. Wherever it is found, it must have the SHA-256 given here.
"""

from aevb_utils.data.dataset import Dataset
from aevb_utils.data.digits import digits
from aevb_utils.data.download import DataError
from aevb_utils.data.iris import iris
from aevb_utils.data.jsb_chorales import LOWEST, PITCHES, jsb_chorales, transpose
from aevb_utils.data.mnist import Pixels, Variant, mnist
from aevb_utils.data.old_faithful import old_faithful
from aevb_utils.data.simulated_mixture import simulated_mixture
from aevb_utils.data.wine import wine

__all__ = [
    "LOWEST",
    "PITCHES",
    "DataError",
    "Dataset",
    "Pixels",
    "Variant",
    "digits",
    "iris",
    "jsb_chorales",
    "mnist",
    "old_faithful",
    "simulated_mixture",
    "transpose",
    "wine",
]
