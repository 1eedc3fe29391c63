"""The 20,190 person-years of the RAND Health Insurance Experiment, as a table of counts (exercise 11.5)."""

import torch
from torch import Tensor

VISITS = [*range(36), 37, 38, 39, 40, 41, 44, 45, 46, 48, 51, 52, 55, 56, 57, 58, 62, 63, 65, 69, 72, 74, 76, 77]
OFTEN = """
6308 3817 2797 1884 1345 968 689 531 408 287 206 190 118 109 82 59 56 33 37 35 26 22 19 19
13 8 10 6 12 6 8 8 4 5 9 5 5 9 1 3 5 6 2 2 2 1 3 1 1 1 1 1 1 1 1 1 1 1 1
"""


def halves() -> tuple[Tensor, Tensor]:
    """The person-years in a fixed random order: half to train on, half held out, (10095, 1) each."""
    often = torch.tensor([int(number) for number in OFTEN.split()])
    visits = torch.tensor(VISITS, dtype=torch.float64).repeat_interleave(often)
    order = torch.randperm(len(visits), generator=torch.Generator().manual_seed(7))
    return tuple(visits[order, None].chunk(2))
