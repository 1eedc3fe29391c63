"""The book as a term's course: assignments, and an engine that grades them. README.md says how to use it."""
