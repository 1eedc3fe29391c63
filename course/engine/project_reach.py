"""Which modules a team's code reaches, by imports and by what it asks a module for: those of a list, and no other.

Libraries hold functions that run text or start processes, in modules that no model needs. So what is asked of a module
is followed here, in the libraries themselves, and a module may be asked for something and do nothing else: it is not
passed on, kept or returned, for what is done to it then could not be read.
"""

import ast
import importlib
from collections.abc import Iterator
from importlib.util import find_spec
from types import ModuleType

LISTED = """
__future__ abc collections collections.abc copy dataclasses enum functools itertools math typing typing_extensions
warnings
aevb_utils aevb_utils.budget aevb_utils.checking aevb_utils.data aevb_utils.inputs aevb_utils.networks
aevb_utils.training
numpy numpy.exceptions numpy.fft numpy.linalg numpy.ma numpy.random numpy.typing
scipy scipy.cluster scipy.cluster.hierarchy scipy.cluster.vq scipy.constants scipy.fft scipy.integrate scipy.interpolate
scipy.linalg scipy.ndimage scipy.optimize scipy.signal scipy.sparse scipy.sparse.linalg scipy.spatial
scipy.spatial.distance scipy.special scipy.stats scipy.stats.distributions scipy.stats.qmc
sklearn sklearn.cluster sklearn.covariance sklearn.datasets sklearn.decomposition sklearn.exceptions
sklearn.linear_model sklearn.metrics sklearn.mixture sklearn.model_selection sklearn.neighbors sklearn.preprocessing
torch torch.autograd torch.autograd.functional torch.backends torch.backends.mps torch.cuda torch.fft torch.func
torch.linalg torch.nn torch.nn.functional torch.nn.init torch.nn.parameter torch.nn.utils
torch.nn.utils.parametrizations torch.nn.utils.parametrize torch.nn.utils.rnn torch.optim torch.optim.lr_scheduler
torch.optim.swa_utils torch.random torch.special torch.types torch.utils torch.utils.data
"""
ALONE = frozenset(LISTED.split())
"""Modules that a model may reach."""
WITH_ALL = (
    "aevb_utils.evaluation",
    "aevb_utils.models",
    "aevb_utils.streams",
    "numpy.polynomial",
    "torch.distributions",
)
"""Modules that it may reach with all that is in them."""
COMPUTES = frozenset(name.partition(".")[0] for name in ALONE)
"""What a model may import, besides the team's own modules."""


def beyond(tree: ast.Module, own: frozenset[str], passed: frozenset[str]) -> Iterator[str]:
    """What a file reaches beyond the list, and modules that it does more with than ask them for something.

    Args:
        tree: the file's syntax.
        own: the dotted names of the team's modules.
        passed: names that stand for a library's module in any of the team's files.
    """
    modules = modules_of(tree, own)
    yield from _imported_beyond(tree, passed)
    yield from (f"the name {name} for two modules" for name, found in modules.items() if len(found) > 1)
    asked = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _dotted(node, modules)]
    yield from filter(None, (_asked_beyond(_dotted(node, modules), passed) for node in asked))
    followed = {node.value for node in asked} | _renamed(tree, modules)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load) and node not in followed:
            found = _dotted(node, modules)
            if found in own or _is_module(found):
                yield f"the module {found} for more than to ask it for something"


def _asked_beyond(dotted: str, passed: frozenset[str]) -> str:
    """What is beyond the list in a dotted name; empty if nothing is."""
    if of_library(dotted):
        return _outside(dotted)
    top, *parts = dotted.split(".")
    return f"{min(names)} of {top}" if (names := passed & set(parts)) else ""


def of_library(dotted: str) -> bool:
    """Whether a dotted name is one of a library: no module of the team's is taken for it."""
    return dotted.partition(".")[0] in COMPUTES


def modules_of(tree: ast.Module, own: frozenset[str]) -> dict[str, set[str]]:
    """The names of a file that stand for modules, and the modules' dotted names."""
    found: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                found.setdefault(alias.asname or top, set()).add(alias.name if alias.asname else top)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if dotted := _taken(node, alias.name, own):
                    found.setdefault(alias.asname or alias.name, set()).add(dotted)
    for node in tree.body:
        if (target := _new_name(node)) and (dotted := _dotted(node.value, found)) and _is_module(dotted):
            found.setdefault(target, set()).add(dotted)
    return found


def _taken(node: ast.ImportFrom, name: str, own: frozenset[str]) -> str:
    """The module that ``from … import`` takes by a name; empty where what it takes is no module."""
    dotted = f"{node.module}.{name}" if node.module else name
    if node.level or not of_library(dotted):
        return min((each for each in own if f".{each}".endswith(f".{dotted}")), default="")
    return dotted if _is_module(dotted) else ""


def _new_name(node: ast.stmt) -> str:
    """The name that a line such as ``F = nn.functional`` gives to what is on its right; empty for other lines."""
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    return ""


def _renamed(tree: ast.Module, modules: dict[str, set[str]]) -> set[ast.expr]:
    """The modules on the right of lines that give them another name, which is then followed as theirs."""
    lines = [node for node in tree.body if _new_name(node)]
    return {node.value for node in lines if _dotted(node.value, modules) in modules.get(_new_name(node), ())}


def _dotted(node: ast.expr, modules: dict[str, set[str]]) -> str:
    """What is asked of a module, by its dotted name, such as torch.nn.Linear; empty where it is of no module."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in modules:
        return ""
    return ".".join([min(modules[node.id]), *reversed(parts)])


def _imported_beyond(tree: ast.Module, passed: frozenset[str]) -> Iterator[str]:
    """What a file imports that is not on the list, or so that it cannot be followed."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            inside = [part for part in ast.walk(node) if isinstance(part, ast.Import | ast.ImportFrom)]
            yield from (f"an import inside the class {node.name}" for _ in inside)
        elif isinstance(node, ast.Import):
            yield from filter(None, (_outside(alias.name) for alias in node.names if of_library(alias.name)))
        elif isinstance(node, ast.ImportFrom):
            module = node.module or "."
            library = not node.level and of_library(module)
            for alias in node.names:
                if alias.name == "*":
                    yield f"all that is in {module} by *"
                elif library and (out := _outside(f"{module}.{alias.name}")):
                    yield out
                elif not library and alias.name in passed:
                    yield f"{alias.name} of {module}"


def _allowed(name: str) -> bool:
    """Whether a module is on the list."""
    hidden = any(part.startswith("_") for part in name.split(".")) and name != "__future__"
    return name in ALONE or (not hidden and any(f"{name}.".startswith(f"{top}.") for top in WITH_ALL))


def _outside(dotted: str) -> str:
    """The beginning of a library's dotted name that leaves the list; empty if none does."""
    parts = dotted.split(".")
    for k in range(1, len(parts) + 1):
        so_far = ".".join(parts[:k])
        if parts[k - 1].startswith("_") and so_far != "__future__" and parts[k - 1] not in ("__name__", "__version__"):
            return so_far
        value = _value(so_far)
        if isinstance(value, ModuleType):
            if not _allowed(value.__name__):
                return so_far
        else:
            return so_far if _of_others(value) else ""
    return ""


def _is_module(dotted: str) -> bool:
    """Whether a dotted name is that of a library's module."""
    return of_library(dotted) and not _outside(dotted) and isinstance(_value(dotted), ModuleType)


def _value(dotted: str) -> object:
    """What a dotted name of a library stands for, of which all but the last part is on the list; None if nothing."""
    top, *parts = dotted.split(".")
    value: object = _loaded(top)
    for k, part in enumerate(parts, 1):
        if not isinstance(value, ModuleType):
            return None
        try:
            value = getattr(value, part)
        except Exception:  # a library may fail in any way where it loads its parts when they are asked for
            value = _loaded(".".join([top, *parts[:k]]))
    return value


def _loaded(name: str) -> ModuleType | None:
    """A module; one without content for a module that is not on the list, which is not run; None if there is none."""
    try:
        if _allowed(name):
            return importlib.import_module(name)
        return ModuleType(name) if find_spec(name) else None
    except (ImportError, ValueError, AttributeError):
        return None


def _of_others(value: object) -> bool:
    """Whether something that is asked of a module is a function or class of none of these libraries, or runs tests."""
    home = getattr(value, "__module__", None) or ""
    top = home.partition(".")[0] if isinstance(home, str) else ""
    runs_tests = type(value).__name__ == "PytestTester"
    return runs_tests or not (top in COMPUTES or top.startswith("_") or top in ("", "builtins"))
