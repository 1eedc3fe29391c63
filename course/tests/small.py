"""A small assignment: two functions, ten points."""

import json

import torch

from course.engine.checks import Check, Wrong


def checks(student: str = "any") -> list[Check]:
    x = torch.tensor([1.0, 3.0, -2.0, float(len(student))], dtype=torch.float64)
    late = Wrong(x.cumsum(0) - x, 0.5, "The sum holds its own number too.")
    return [
        Check("q1", "four numbers", 2, "double", [x], 2 * x, seconds=1, visible=True),
        Check("q1", "their squares", 2, "double", [x**2], 2 * x**2, seconds=1),
        Check("q2", "four numbers", 3, "cumulate", [x], x.cumsum(0), wrong=[late], seconds=1),
        Check("q2", "secret", 3, "cumulate", [x + 1], (x + 1).cumsum(0), seconds=1, secret=True),
    ]


def notebook(path, *cells: str, **more):
    """Write a notebook with these code cells, and nothing that it could do without."""
    content = {"cells": [{"cell_type": "code", "source": cell} for cell in cells], "nbformat": 4} | more
    path.write_text(json.dumps(content), encoding="utf-8")
    return path
