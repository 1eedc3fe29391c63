"""Which cells of a submission the graded functions can depend on: read off its text, in the box, before it runs."""

import ast
import dis
import re
import types
from collections.abc import Iterator
from typing import NamedTuple


def last_needed(cells: list[str], functions: set[str]) -> int:
    """The number of the last cell on which the functions can depend; figures and prints that follow are not run.

    A cell counts that binds a name which they reach, that may change a variable (no function, class or module) which
    they reach, since it uses it or calls what does, or that changes something of everybody's. Where a function is not
    found, all count.
    """
    parsed = [statements(source) for source in cells]
    every = [one for known in parsed for one in known or ()]
    if not functions <= {name for one in every for name in one.binds}:
        return len(cells) - 1
    reached, before = set(functions), set()
    while reached != before:
        before = set(reached)
        reached.update(*(one.uses for one in every if one.binds & reached))
    variables, before = {name for one in every if not one.fixed for name in one.binds & reached}, set()
    while variables != before:
        before = set(variables)
        variables.update(*(one.binds for one in every if one.inner & before))
    needed = [
        number
        for number, known in enumerate(parsed)
        if known is None or any(one.changes or one.binds & reached or one.uses & variables for one in known)
    ]
    return max(needed)


class Statement(NamedTuple):
    """A statement of a cell: the global names that it binds and uses, by itself or in the functions that it defines.

    ``inner`` are those of its functions alone, ``fixed`` is whether what it binds are functions, classes and modules,
    ``changes`` whether it may change more than names: attributes, torch's defaults, or what the text does not show.
    """

    binds: set[str]
    uses: set[str]
    inner: set[str]
    fixed: bool
    changes: bool


FIXED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
CHANGES = re.compile(
    r"\*|exec|eval|globals|locals|vars|setattr|delattr|__dict__|__import__|import_module|get_ipython|"
    r"set_default_dtype|set_default_tensor_type|set_default_device|set_grad_enabled"
)


def statements(source: str) -> list[Statement] | None:
    """The statements of a cell; None where it is no Python, as with IPython's magics."""
    found = []
    try:
        for node in ast.parse(source).body:
            code = compile(ast.Module([node], []), "<cell>", "exec")
            binds, uses, attributes = names_in(code, ("STORE_NAME", "DELETE_NAME"))
            inner: set[str] = set()
            for part in inside(code):
                bound, used, _ = names_in(part)
                binds, uses, inner = binds | bound, uses | used, inner | bound | used
            nodes = list(ast.walk(node))
            words = {getattr(each, "attr", getattr(each, "id", getattr(each, "name", ""))) for each in nodes}
            fixed = isinstance(node, FIXED) and not any(isinstance(each, ast.Global) for each in nodes)
            changes = attributes or any(CHANGES.fullmatch(str(word)) for word in words)
            found.append(Statement(binds, uses, inner, fixed, changes))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return found


def inside(code: types.CodeType) -> Iterator[types.CodeType]:
    """The code of the functions and classes in some code, at any depth; annotations are not run."""
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType) and constant.co_name != "__annotate__":
            yield constant
            yield from inside(constant)


def names_in(code: types.CodeType, stores: tuple[str, ...] = ()) -> tuple[set[str], set[str], bool]:
    """The global names that code binds and uses, and whether it sets an attribute; what ``stores`` does binds too."""
    steps = [(step.opname, step.argval) for step in dis.get_instructions(code)]
    binds = {name for op, name in steps if op in ("STORE_GLOBAL", "DELETE_GLOBAL", *stores)}
    uses = {name for op, name in steps if op.startswith("LOAD_") and op.endswith(("NAME", "GLOBAL", "GLOBALS"))}
    return binds, uses, any(op in ("STORE_ATTR", "DELETE_ATTR") for op, _ in steps)
