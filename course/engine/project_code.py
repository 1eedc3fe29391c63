"""What a team's code says, read and not run: whether ``model.py`` does what a model needs, and no more.

A model's code shares a process with what checks it. So it may use what computes, and nothing that reaches the process:
no ``os``, no ``open``, nothing of Python's own; ``project_reach`` looks at the modules. That makes it hard to forge a
verdict; what keeps code in is the box.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from course.engine import project_reach
from course.engine.project_reach import COMPUTES

NAMES = frozenset(
    [
        "__builtins__",
        "__getstate__",
        "__import__",
        "__loader__",
        "__reduce__",
        "__reduce_ex__",
        "__setstate__",
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
        "CompilationUnit",
        "DataSource",
        "ForwardRef",
        "LowLevelCallable",
        "Path",
        "PyTorchFileReader",
        "PyTorchFileWriter",
        "__import__",
        "_construct_argparser",
        "bltns",
        "builtins",
        "checkpoint_callback",
        "compile",
        "cpp_extension",
        "ctypes",
        "ctypeslib",
        "delattr",
        "dump",
        "dump_svmlight_file",
        "evaluate_forward_ref",
        "exec",
        "f2py",
        "f_back",
        "f_builtins",
        "f_globals",
        "f_locals",
        "from_file",
        "fromfile",
        "gc",
        "get_type_hints",
        "getattr",
        "gi_frame",
        "globals",
        "hub",
        "import_ir_module",
        "importlib",
        "inspect",
        "io",
        "load",
        "load_inline",
        "load_library",
        "load_pretrained",
        "memmap",
        "multiprocessing",
        "npyio",
        "open",
        "open_memmap",
        "ops",
        "os",
        "pathlib",
        "pickle",
        "rundocs",
        "runstring",
        "rv_continuous",
        "rv_discrete",
        "rv_histogram",
        "save",
        "save_npz",
        "save_pretrained",
        "savemat",
        "savetxt",
        "savez",
        "savez_compressed",
        "serialization",
        "setattr",
        "singledispatch",
        "singledispatchmethod",
        "subprocess",
        "sys",
        "tofile",
        "update_wrapper",
        "wraps",
    ]
)
"""What it may not ask anything for, such as ``torch.os``, nor import from anywhere."""
OF_TENSORS = frozenset({"data", "grad", "requires_grad"})
"""What it may set of anything but a module: of a tensor, as methods do that work in place."""
OWN = frozenset({"__init__", "__name__", "__class__"})


def imports_model(project: Path) -> bool:
    """Whether ``run.py``, or a module of the team that it imports, imports ``model.py``."""
    return any("model" in _imported(tree) for _, tree in _reached(project, "run") if tree)


def paper_uses_code(project: Path) -> bool:
    """Whether ``paper`` of ``model.py`` asks a distribution for a density, so that it is no formula of its own."""
    tree = tree_of(project / "model.py")
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.FunctionDef) and node.name == "paper":
            return any(isinstance(part, ast.Attribute) and part.attr == "log_prob" for part in ast.walk(node))
    return False


def beyond_a_model(project: Path) -> str:
    """What ``model.py``, or a module of the team that it imports, uses that no model needs; empty if nothing."""
    files = list(_reached(project, "model"))
    own = frozenset(name for path, _ in files for name in _dotted(path.relative_to(project)))
    passed = frozenset().union(*(_passed(tree, own) for _, tree in files if tree))
    for path, tree in files:
        where = path.relative_to(project).as_posix()
        if tree is None:
            return f"{where} cannot be read as Python."
        for name in sorted(_imported(tree)):
            if name not in COMPUTES and not _own(project, name):
                return f"{where} imports {name}, which no model needs."
        if used := next(_beyond(tree), None) or next(project_reach.beyond(tree, own, passed), None):
            return f"{where} uses {used}, which no model needs."
    return ""


def _dotted(path: Path) -> Iterator[str]:
    """The dotted names of a module of the team's and of the folders that it is in."""
    parts = path.with_suffix("").parts
    yield from (".".join(parts[:k]) for k in range(1, len(parts) + 1))


def _passed(tree: ast.Module, own: frozenset[str]) -> set[str]:
    """The names of a file that stand for a library's modules."""
    named = project_reach.modules_of(tree, own)
    return {name for name, found in named.items() if any(project_reach.of_library(each) for each in found)}


def _reached(project: Path, name: str) -> Iterator[tuple[Path, ast.Module | None]]:
    """The team's files that an import of a name may run, each once, with its syntax; None where it has none."""
    waiting, seen = _own(project, name), set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        tree = tree_of(path)
        yield path, tree
        waiting += [own for imported in sorted(_imported(tree) if tree else ()) for own in _own(project, imported)]


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
    """Names and attributes that a model does not need, and changes of what is not its own."""
    imported, own = set(), _names_of_its_own(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            imported |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
            yield from (alias.name for alias in node.names if alias.name.rpartition(".")[2] in ATTRIBUTES | NAMES)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in NAMES:
            yield node.id
        elif isinstance(node, ast.FunctionDef) and node.name in NAMES:
            yield node.name
        elif isinstance(node, ast.MatchClass) and (node.patterns or node.kwd_patterns):
            yield "a pattern that asks for attributes"
        elif isinstance(node, ast.Attribute):
            of_self = isinstance(node.value, ast.Name) and node.value.id == "self" and "self" in own
            hidden = node.attr.startswith("_") and not of_self
            dunder = node.attr.startswith("__") and node.attr not in OWN
            root = _root(node)
            if node.attr in ATTRIBUTES or dunder or (hidden and node.attr not in OWN):
                yield f".{node.attr}"
            elif isinstance(node.ctx, ast.Load) or root in own:
                continue
            elif root in imported or node.attr not in OF_TENSORS:
                yield f"an assignment to {root}.{node.attr}"


def _names_of_its_own(tree: ast.Module) -> set[str]:
    """Names that stand for classes and functions of the module and for nothing else, and ``self`` of its methods."""
    named, functions = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef), (ast.FunctionDef, ast.Lambda)
    defined = {node.name for node in tree.body if isinstance(node, named)}
    methods = [each for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for each in node.body]
    methods += [node for node in ast.walk(tree) if isinstance(node, ast.Lambda)]  # in which nothing can be set
    taken = [[*each.args.posonlyargs, *each.args.args] for each in methods if isinstance(each, functions)]
    selves = {args[0] for args in taken if args}
    bound = {name for node in ast.walk(tree) if node not in selves and (name := _bound(node))}
    return ({"self"} if "*" in bound else {"self", *defined}) - bound


def _bound(node: ast.AST) -> str | None:
    """The name to which a part of the code gives something that may be anybody's; None where there is none."""
    match node:
        case ast.Name(ctx=ast.Store() | ast.Del()):
            return node.id
        case ast.arg():
            return node.arg
        case ast.alias():
            return (node.asname or node.name).partition(".")[0]
        case ast.ExceptHandler() | ast.MatchAs() | ast.MatchStar():
            return node.name
        case ast.MatchMapping():
            return node.rest
        case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef() if node.decorator_list:
            return node.name
    return None


def _root(node: ast.expr) -> str:
    """The name that an attribute, or an item, is at last of."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
