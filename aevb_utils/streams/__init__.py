"""EM on more data than memory holds: a map over blocks, and a sum; under ``torchrun``, a sum over processes too."""

from aevb_utils.streams.blocks import Stream
from aevb_utils.streams.mixture import StreamedMixture, run_em
from aevb_utils.streams.moments import Moments, moments

__all__ = ["Moments", "Stream", "StreamedMixture", "moments", "run_em"]
