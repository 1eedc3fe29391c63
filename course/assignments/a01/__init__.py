"""Assignment 1: a mixture of exponential lifetimes, some of them censored."""
