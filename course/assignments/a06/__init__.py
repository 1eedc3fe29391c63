"""Assignment 6: a level that wanders, seen at odd times and through counts."""
