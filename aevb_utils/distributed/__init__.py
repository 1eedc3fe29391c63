"""The same training and the same evaluations in several processes, on one machine or on many, under ``torchrun``."""

from aevb_utils.distributed.group import ProcessError
from aevb_utils.distributed.team import Team, team

__all__ = ["ProcessError", "Team", "team"]
