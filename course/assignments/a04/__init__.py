"""Assignment 4: AEVB for factor analysis of a table in which whole blocks of columns are missing."""
