"""Training a model: the one loop, what it has seen, checkpoints, and the weights of long runs."""

from aevb_utils.evaluation.rows import Rows
from aevb_utils.training.arguments import LatentVariableModel, Update
from aevb_utils.training.checkpoints import CheckpointError, checkpoint_callback
from aevb_utils.training.history import History
from aevb_utils.training.loop import fit
from aevb_utils.training.pretrained import load_pretrained, provenance, rounded, save_pretrained, shipped
from aevb_utils.training.stops import TrainingError, TrainingStopped

__all__ = [
    "CheckpointError",
    "History",
    "LatentVariableModel",
    "Rows",
    "TrainingError",
    "TrainingStopped",
    "Update",
    "checkpoint_callback",
    "fit",
    "load_pretrained",
    "provenance",
    "rounded",
    "save_pretrained",
    "shipped",
]
