"""What a chapter's code defines, without running the whole chapter: only what some names are made of is run."""

import ast
import contextlib
import io
from typing import Any

from tools.freshness import definitions, global_names
from tools.notebooks import CHAPTERS, code_cells, read, tags, where
from tools.syntax import parse

LEFT_OUT = frozenset({"setup", "live", "exercise", "solution", "check", "break"})
SETTINGS = ("torch.set_default_dtype", "torch.manual_seed")


def names_of_chapter(number: int, *wanted: str) -> dict[str, Any]:
    """The global names of a chapter, when those of its statements have run that ``wanted`` names are made of.

    The chapter is followed to the cell where the last of them is first defined. What statements do without defining a
    name is not done, but for torch's default type and seed, which stay as the chapter sets them.

    Args:
        number: the chapter's.
        wanted: names that it defines at top level.

    Raises:
        LookupError: the chapter does not define one of them.
    """
    path = CHAPTERS[number - 1]
    cells = [parse(c.source, where(path.name, c)).body for c in code_cells(read(path)) if not LEFT_OUT & tags(c)]
    bound = [[_bound(statement) for statement in cell] for cell in cells]
    ends = [next((i for i, cell in enumerate(bound) if name in set().union(*cell)), None) for name in wanted]
    if None in ends:
        missing = wanted[ends.index(None)]
        raise LookupError(f"Chapter {number} does not define {missing!r}: name what a cell of it defines.")
    last, needed, chosen = max(ends) + 1, {*wanted}, []
    pairs = [
        pair for cell, of_cell in zip(cells[:last], bound, strict=False) for pair in zip(cell, of_cell, strict=True)
    ]
    for statement, of_statement in reversed(pairs):
        if of_statement & needed or _sets_torch(statement):
            chosen.append(statement)
            needed |= global_names([statement])
    names: dict[str, Any] = {"__name__": f"chapter_{number:02}"}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(ast.Module(chosen[::-1], []), path.name, "exec"), names)
    return names


def names_of_cell(number: int, cell_id: str, **given: object) -> tuple[dict[str, Any], str]:
    """The global names of a chapter when one of its cells has run whole, and what that prints.

    Of what stands above, only what the cell is made of is run.

    Args:
        number: the chapter's.
        cell_id: the cell's.
        given: names that are not to be worked out.

    Raises:
        LookupError: there is no such cell.
    """
    path = CHAPTERS[number - 1]
    all_cells = list(code_cells(read(path)))
    at = next((i for i, cell in enumerate(all_cells) if cell.get("id") == cell_id), None)
    if at is None:
        raise LookupError(f"Chapter {number} has no cell {cell_id!r}: name one of its code cells.")
    body = parse(all_cells[at].source, where(path.name, all_cells[at])).body
    above = [parse(c.source, where(path.name, c)).body for c in all_cells[:at] if not LEFT_OUT & tags(c)]
    defined = set().union(*(_bound(statement) for cell in above for statement in cell))
    names = names_of_chapter(number, *sorted((global_names(body) & defined) - {*given})) | given
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(ast.Module(body, []), path.name, "exec"), names)
    return names, printed.getvalue()


def printed(number: int) -> str:
    """All that the cells of a chapter have printed, as its notebook stores it."""
    outputs = [output for cell in code_cells(read(CHAPTERS[number - 1])) for output in cell.outputs]
    return "".join(output.get("text", "") for output in outputs)


def _bound(statement: ast.stmt) -> set[str]:
    """The names that a statement defines or imports, in a loop too, or whose objects it sets a part of."""
    if isinstance(statement, ast.For):
        return set().union(*map(_bound, statement.body))
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name.split(".")[0] for alias in statement.names}
    parts = [node for node in ast.walk(statement) if isinstance(node, ast.Subscript | ast.Attribute)]
    held = {
        n.id for part in parts if isinstance(part.ctx, ast.Store) for n in ast.walk(part) if isinstance(n, ast.Name)
    }
    return {*definitions([statement])} | (held if isinstance(statement, ast.Assign | ast.AugAssign) else set())


def _sets_torch(statement: ast.stmt) -> bool:
    """Whether a statement sets what torch does later on."""
    call = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(call, ast.Call) and ast.unparse(call.func) in SETTINGS
