"""Assignment 3: gradients of expectations, for a Weibull and for the width of a Gaussian."""
