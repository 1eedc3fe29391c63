"""Assignment 2: what a family of q costs, and what a network adds to it."""
