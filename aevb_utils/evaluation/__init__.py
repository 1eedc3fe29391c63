"""Quadrature, gaps and gradients, exported from the chapters by ``make export``."""
