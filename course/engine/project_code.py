"""What a team's code says, read and not run: whether ``model.py`` does what a model needs, and no more.

A model's code shares a process with what checks it. So it may use what computes, and nothing that reaches the process:
no ``os``, no ``open``, nothing of Python's own. That makes it hard to forge a verdict; what keeps code in is the box.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from course.engine.project_folder import text_of

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
        "builtins",
        "ctypes",
        "ctypeslib",
        "f_back",
        "f_builtins",
        "f_globals",
        "f_locals",
        "from_file",
        "fromfile",
        "gc",
        "gi_frame",
        "hub",
        "importlib",
        "inspect",
        "io",
        "load",
        "memmap",
        "ops",
        "os",
        "pickle",
        "save",
        "savetxt",
        "savez",
        "serialization",
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
    return any("model" in _imported(tree_of(path)) for path in others)


def paper_uses_code(project: Path) -> bool:
    """Whether ``paper`` of ``model.py`` asks a distribution for a density, so that it is no formula of its own."""
    for node in ast.walk(tree_of(project / "model.py")):
        if isinstance(node, ast.FunctionDef) and node.name == "paper":
            return any(isinstance(part, ast.Attribute) and part.attr == "log_prob" for part in ast.walk(node))
    return False


def beyond_a_model(project: Path) -> str:
    """What ``model.py``, or a module of the team that it imports, uses that no model needs; empty if nothing."""
    waiting, seen = [project / "model.py"], set()
    while waiting:
        path = waiting.pop()
        seen.add(path)
        tree = tree_of(path)
        for name in sorted(_imported(tree)):
            own = [project / f"{name}.py", *sorted((project / name).rglob("*.py"))]
            own = [each for each in own if each.is_file()]
            waiting += [each for each in own if each not in seen]
            if not own and name not in COMPUTES:
                return f"{path.relative_to(project).as_posix()} imports {name}, which no model needs."
        if used := next(_beyond(tree), None):
            return f"{path.relative_to(project).as_posix()} uses {used}, which no model needs."
    return ""


def tree_of(path: Path) -> ast.Module:
    """A module's syntax; an empty one where it is none, which running it will say."""
    try:
        return ast.parse(text_of(path))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module([], [])


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
                yield f"an assignment to {ast.unparse(node)}"


def _root(node: ast.expr) -> str:
    """The name that an attribute, or an item, is at last of."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
