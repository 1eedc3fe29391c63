"""Where the book lies, and the environment of each kind of run."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

FULL_RUN = {"AEVB_FAST": "0", "AEVB_REAL_DATA": "1", "TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1"}
"""Of every full run: real data only, no progress bars; one thread, since the models are small."""
FAST_RUN = {"AEVB_FAST": "1", "TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg", "PYTHONHASHSEED": "0"}
"""Of every fast run that is compared."""
UTF8 = {"PYTHONIOENCODING": "utf-8"}
"""Of a process whose output is read here, whatever the console's own characters are."""


def python_path(root: Path = ROOT) -> str:
    """``PYTHONPATH`` of a process that runs the code of a copy of the book."""
    return os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH"))))
