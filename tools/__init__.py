"""Developer commands of the book, run as ``python -m tools NAME``; ``python -m tools`` lists them."""
