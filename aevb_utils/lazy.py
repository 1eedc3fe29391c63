"""Names that a package exports and imports only when they are asked for, with the libraries that they need."""

import importlib
from collections.abc import Callable


def lazily(package: str, **modules: tuple[str, ...]) -> Callable[[str], object]:
    """A package's ``__getattr__``, which imports a module when one of its names is asked for the first time.

    Args:
        package: the package's name.
        modules: the names that each of its modules exports.
    """
    where = {name: module for module, names in modules.items() for name in names}

    def get(name: str) -> object:
        if name not in where:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{where[name]}"), name)

    return get
