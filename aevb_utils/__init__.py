"""Helper package of the book *From EM to AEVB*: data, figures, checks and the book's models."""
