"""Training a model: the one loop, what it has seen, checkpoints, and the weights of long runs."""

from aevb_utils.training.checkpoints import CheckpointError, checkpoint_callback
from aevb_utils.training.history import History
from aevb_utils.training.loop import LatentVariableModel, Rows, TrainingError, Update, fit
from aevb_utils.training.pretrained import load_pretrained, provenance, rounded, save_pretrained, shipped

__all__ = [
    "CheckpointError",
    "History",
    "LatentVariableModel",
    "Rows",
    "TrainingError",
    "Update",
    "checkpoint_callback",
    "fit",
    "load_pretrained",
    "provenance",
    "rounded",
    "save_pretrained",
    "shipped",
]
