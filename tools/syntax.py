"""Code as syntax trees: read with every fault named, and written as text that is the same in every Python version."""

import ast
from pathlib import Path

from aevb_utils.results.json_files import BrokenFileError


def parse(source: str, where: object) -> ast.Module:
    """The syntax tree of some code.

    Args:
        source: the code.
        where: what it is the code of, for the message.

    Raises:
        BrokenFileError: it is no Python.
    """
    try:
        return ast.parse(source)
    except SyntaxError as error:
        raise BrokenFileError(f"{where} is no Python, {error.msg} in line {error.lineno}: correct it.") from error
    except (ValueError, RecursionError, MemoryError) as error:  # NUL, half a character; nested too deeply
        reason = str(error) if isinstance(error, ValueError) else "it is nested too deeply"
        raise BrokenFileError(f"{where} is no Python, {reason}: correct it.") from error


def parse_file(file: Path) -> ast.Module:
    """The syntax tree of a Python file.

    Raises:
        BrokenFileError: it cannot be read, or is no Python.
    """
    return parse(read_text(file), file)


def read_text(file: Path) -> str:
    """The text of a file in UTF-8.

    Raises:
        BrokenFileError: it cannot be read, or is no UTF-8.
    """
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise BrokenFileError(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise BrokenFileError(f"{file} is no text in UTF-8 ({error.reason}): save it as UTF-8.") from error


def without_strings(tree: ast.Module) -> ast.Module:
    """The tree less every string that stands alone as a statement: docstrings."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            kept = [statement for statement in body if not _is_string(statement)]
            node.body = kept if kept or isinstance(node, ast.Module) else [ast.Pass()]
    return tree


def without_fast_budgets(tree: ast.Module) -> ast.Module:
    """The tree less what the full run does not see: ``fast`` in ``budget(full=…, fast=…)``, where it is a literal."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "budget":
            node.keywords = [each for each in node.keywords if each.arg != "fast" or not _is_literal(each.value)]
    return tree


def _is_literal(value: ast.expr) -> bool:
    """Whether a value is written out: numbers, strings, and tuples, lists, sets and dicts of them."""
    try:
        ast.literal_eval(value)
    except ValueError:
        return False
    return True


def _is_string(statement: ast.AST) -> bool:
    """Whether a statement is a lone string."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def canonical(node: object) -> str:
    """A syntax tree as text that is the same in every Python version (``ast.dump`` is not)."""
    if isinstance(node, ast.AST):
        fields = ((name, value) for name, value in ast.iter_fields(node) if value is not None and value != [])
        return f"{type(node).__name__}({','.join(f'{name}={canonical(value)}' for name, value in fields)})"
    if isinstance(node, list):
        return f"[{','.join(map(canonical, node))}]"
    return repr(node)
