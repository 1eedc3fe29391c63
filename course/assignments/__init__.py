"""The assignments, a folder each."""
