"""Developer commands of the book, run as ``python -m tools.NAME``; ``make help`` lists them."""
