"""Assignment 5: labels that nobody gave: some crossed out, many at once, relaxed, and found again."""
