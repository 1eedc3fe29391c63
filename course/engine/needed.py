"""Which cells of a submission the graded functions can depend on: read off its text, in the box, before it runs."""

import ast
import dis
import re
import types
from collections.abc import Iterator
from typing import NamedTuple


def last_needed(cells: list[str], functions: set[str]) -> int:
    """The number of the last cell on which the functions can depend; figures and prints that follow are not run.

    A cell counts that binds a name which the functions reach, that sets torch's defaults, or that touches state which
    they reach. State is what a name holds that no import gave it and no statement that is ``plain``; and whatever one
    statement names together with state is state too, since it may be another name of it, hold it or change it. All
    cells count where a function is not found, or where :func:`statements` cannot tell what a cell does.
    """
    known = [statements(source) for source in cells]
    every = [one for cell in known for one in cell or ()]
    if None in known or not functions <= {name for one in every for name in one.binds}:
        return len(cells) - 1
    reached, before = set(functions), set()
    while reached != before:
        before = set(reached)
        reached.update(*(one.uses for one in every if one.binds & reached))
    own = {name for one in every if not one.imports for name in one.binds}
    state, before = {name for one in every if not one.plain for name in one.binds & reached}, set()
    while state != before:
        before = set(state)
        state.update(*((one.binds | one.uses) & own for one in every if (one.binds | one.uses) & before))
    touched = reached | state
    return max(
        number
        for number, cell in enumerate(known)
        if any(one.defaults or one.binds & touched or one.uses & state for one in cell or ())
    )


class Statement(NamedTuple):
    """A statement of a cell: the global names that it binds and uses, by itself or in the functions that it defines.

    ``imports`` is whether it is an import, ``plain`` whether nothing that it binds has a state of its own, ``defaults``
    whether it sets one of torch's defaults.
    """

    binds: set[str]
    uses: set[str]
    imports: bool
    plain: bool
    defaults: bool


DEFAULTS = frozenset({"set_default_dtype", "set_default_tensor_type", "set_default_device", "set_grad_enabled"})
HIDDEN = re.compile(
    r"exec|eval|compile|globals|locals|vars|getattr|setattr|delattr|get_ipython|__import__|__main__|builtins"
)
"""Names by which a cell may do what its text does not show."""
HIDDEN_IN = re.compile(r"\*|import_module|modules|_getframe|__(?!init__$|name__$|version__$)\w+")
"""Such attributes and names of imports."""
SIMPLE = (ast.Constant, ast.Name, ast.Attribute, ast.Subscript, ast.Tuple, ast.UnaryOp, ast.BinOp)
SIMPLE += (ast.expr_context, ast.unaryop, ast.operator)


def statements(source: str) -> list[Statement] | None:
    """The statements of a cell; None where its text does not show what they do.

    That is so where it is no plain Python, as with IPython's magics; where it sets attributes, but for those of
    ``self`` in a class; and where it has words such as ``exec``.
    """
    found = []
    try:
        for node in ast.parse(source).body:
            nodes = list(ast.walk(node))
            defaults = _sets_default(node)
            if _sets_attributes(nodes) or any(map(_hides, nodes)) or (not defaults and any(map(_names_default, nodes))):
                return None
            code = compile(ast.Module([node], []), "<cell>", "exec")
            binds, uses = _names_in(code, ("STORE_NAME", "DELETE_NAME"))
            for part in _inside(code):
                bound, used = _names_in(part)
                binds, uses = binds | bound, uses | used
            imports = isinstance(node, ast.Import | ast.ImportFrom)
            plain = _plain(node) and not any(isinstance(each, ast.Global) for each in nodes)
            found.append(Statement(binds, uses, imports, imports or plain, defaults))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return found


def _plain(node: ast.stmt) -> bool:
    """Whether this defines functions, constants, other names, or a class of them: nothing that can change by itself."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        values = [*node.args.defaults, *(value for value in node.args.kw_defaults if value)]
        return not node.decorator_list and all(map(_simple, values))
    if isinstance(node, ast.ClassDef):
        return not node.decorator_list and not node.keywords and all(map(_plain, node.body))
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.Expr):
        return node.value is None or _simple(node.value)
    return isinstance(node, ast.Pass)


def _simple(value: ast.expr) -> bool:
    """Whether a value is made of constants and names alone, so that it is no new list, say."""
    return all(isinstance(each, SIMPLE) for each in ast.walk(value))


def _sets_attributes(nodes: list[ast.AST]) -> bool:
    """Whether there is an attribute that is set or deleted, other than of a method's own object."""
    own = {id(each) for node in nodes if isinstance(node, ast.ClassDef) for each in _of_self(node)}
    return any(
        isinstance(each, ast.Attribute) and not isinstance(each.ctx, ast.Load) and id(each) not in own for each in nodes
    )


def _of_self(node: ast.ClassDef) -> Iterator[ast.Attribute]:
    """The attributes of ``self``, whatever it is called, in a class's methods."""
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and not method.decorator_list and method.args.args:
            first = method.args.args[0].arg
            for each in ast.walk(method):
                if isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name) and each.value.id == first:
                    yield each


def _hides(node: ast.AST) -> bool:
    if isinstance(node, ast.Name):
        return bool(HIDDEN.fullmatch(node.id))
    if isinstance(node, ast.Attribute):
        return bool(HIDDEN_IN.fullmatch(node.attr))
    if isinstance(node, ast.ImportFrom) and HIDDEN.fullmatch(node.module or ""):
        return True
    return isinstance(node, ast.alias) and bool(HIDDEN.fullmatch(node.name) or HIDDEN_IN.fullmatch(node.name))


def _names_default(node: ast.AST) -> bool:
    return any(getattr(node, field, None) in DEFAULTS for field in ("attr", "id", "name"))


def _sets_default(node: ast.stmt) -> bool:
    """Whether this is a call such as ``torch.set_default_dtype(torch.float64)`` and no more."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and _names_default(node.value.func):
        return sum(map(_names_default, ast.walk(node))) == 1
    return False


def _inside(code: types.CodeType) -> Iterator[types.CodeType]:
    """The code of the functions and classes in some code, at any depth; annotations are not run."""
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType) and constant.co_name != "__annotate__":
            yield constant
            yield from _inside(constant)


def _names_in(code: types.CodeType, stores: tuple[str, ...] = ()) -> tuple[set[str], set[str]]:
    """The global names that code binds and uses; what ``stores`` does binds too."""
    steps = [(step.opname, step.argval) for step in dis.get_instructions(code)]
    binds = {name for op, name in steps if op in ("STORE_GLOBAL", "DELETE_GLOBAL", *stores)}
    uses = {name for op, name in steps if op.startswith("LOAD_") and op.endswith(("NAME", "GLOBAL", "GLOBALS"))}
    return binds, uses
