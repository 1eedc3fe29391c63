"""Every command of the book, on any system: ``python -m tools NAME …``; alone it lists them.

This file says what is missing where Python is too old, so it holds nothing that an older Python cannot read.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit(
        f"The book needs Python 3.11 or later, and {sys.executable} is {sys.version.split()[0]}: "
        "call a later one, as in python3.12 -m tools, or get one from https://www.python.org/downloads."
    )

from tools.menu import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
