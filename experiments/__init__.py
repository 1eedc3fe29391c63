"""Runs too long for a notebook: each script has a ``main`` that returns its figures; ``make results`` stores them."""
