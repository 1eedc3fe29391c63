"""The engine: student code runs in a box, only plain numbers leave it, and the comparison stays outside."""
