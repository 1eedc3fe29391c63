"""Checks that a reader sees: claims with a number, answers to exercises, the contract of a model."""

from aevb_utils.checking.check_model import check_model
from aevb_utils.checking.checks import check_at_least, check_at_most, check_close, check_fails, check_true
from aevb_utils.checking.exercises import check_answer
from aevb_utils.checking.vae import check_vae

__all__ = [
    "check_answer",
    "check_at_least",
    "check_at_most",
    "check_close",
    "check_fails",
    "check_model",
    "check_true",
    "check_vae",
]
