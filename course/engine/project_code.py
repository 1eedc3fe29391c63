"""What a team's code says, read and not run: whether ``model.py`` does what a model needs, and no more.

A model's code shares a process with what checks it. So it may use what computes, and nothing that reaches the process:
no ``os``, no ``open``, nothing of Python's own. That makes it hard to forge a verdict; what keeps code in is the box.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

COMPUTES = frozenset(
    [
        "__future__",
        "abc",
        "aevb_utils",
        "collections",
        "copy",
        "dataclasses",
        "enum",
        "functools",
        "itertools",
        "math",
        "numpy",
        "scipy",
        "sklearn",
        "torch",
        "typing",
        "typing_extensions",
        "warnings",
    ]
)
"""What a model may import, besides the team's own modules."""
NAMES = frozenset(
    [
        "__builtins__",
        "__import__",
        "__loader__",
        "__spec__",
        "breakpoint",
        "compile",
        "delattr",
        "eval",
        "exec",
        "exit",
        "getattr",
        "globals",
        "input",
        "locals",
        "memoryview",
        "open",
        "quit",
        "setattr",
        "vars",
    ]
)
"""What it may not call or name."""
ATTRIBUTES = frozenset(
    [
        "__import__",
        "bltns",
        "builtins",
        "cpp_extension",
        "ctypes",
        "ctypeslib",
        "delattr",
        "exec",
        "f2py",
        "f_back",
        "f_builtins",
        "f_globals",
        "f_locals",
        "from_file",
        "fromfile",
        "gc",
        "getattr",
        "gi_frame",
        "globals",
        "hub",
        "importlib",
        "inspect",
        "io",
        "load",
        "memmap",
        "multiprocessing",
        "npyio",
        "open",
        "ops",
        "os",
        "pickle",
        "save",
        "savetxt",
        "savez",
        "serialization",
        "setattr",
        "subprocess",
        "sys",
        "tofile",
    ]
)
"""What it may not ask anything for, such as ``torch.os``."""
OWN = frozenset({"__init__", "__name__", "__class__"})


def imports_model(project: Path) -> bool:
    """Whether a module of the top folder, other than ``model.py``, imports it."""
    others = (path for path in sorted(project.glob("*.py")) if path.name != "model.py")
    return any("model" in _imported(tree) for path in others if (tree := tree_of(path)))


def paper_uses_code(project: Path) -> bool:
    """Whether ``paper`` of ``model.py`` asks a distribution for a density, so that it is no formula of its own."""
    tree = tree_of(project / "model.py")
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.FunctionDef) and node.name == "paper":
            return any(isinstance(part, ast.Attribute) and part.attr == "log_prob" for part in ast.walk(node))
    return False


def beyond_a_model(project: Path) -> str:
    """What ``model.py``, or a module of the team that it imports, uses that no model needs; empty if nothing."""
    waiting, seen = _own(project, "model"), set()
    while waiting:
        path = waiting.pop()
        seen.add(path)
        where = path.relative_to(project).as_posix()
        tree = tree_of(path)
        if tree is None:
            return f"{where} cannot be read as Python."
        for name in sorted(_imported(tree)):
            own = _own(project, name)
            waiting += [each for each in own if each not in seen]
            if not own and name not in COMPUTES:
                return f"{where} imports {name}, which no model needs."
        if used := next(_beyond(tree), None):
            return f"{where} uses {used}, which no model needs."
    return ""


def _own(project: Path, name: str) -> list[Path]:
    """The team's files that an import of a name may run."""
    found = [project / f"{name}.py", *sorted((project / name).rglob("*.py"))]
    return [path for path in found if path.is_file()]


def tree_of(path: Path) -> ast.Module | None:
    """A module's syntax, in the encoding that it names; None where it has none, or is nested too deeply."""
    try:
        return ast.parse(path.read_bytes() if path.is_file() else b"")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _imported(tree: ast.Module) -> set[str]:
    """The top names of what a module imports."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").partition(".")[0])
    return found


def _beyond(tree: ast.Module) -> Iterator[str]:
    """Names and attributes that a model does not need, and assignments to what was imported."""
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
            yield from (alias.name for alias in node.names if alias.name.rpartition(".")[2] in ATTRIBUTES | NAMES)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in NAMES:
            yield node.id
        elif isinstance(node, ast.Attribute):
            hidden = node.attr.startswith("_") and not (isinstance(node.value, ast.Name) and node.value.id == "self")
            dunder = node.attr.startswith("__") and node.attr not in OWN
            if node.attr in ATTRIBUTES or dunder or (hidden and node.attr not in OWN):
                yield f".{node.attr}"
            elif isinstance(node.ctx, ast.Store | ast.Del) and _root(node) in modules:
                yield f"an assignment to {_root(node)}.{node.attr}"


def _root(node: ast.expr) -> str:
    """The name that an attribute, or an item, is at last of."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
