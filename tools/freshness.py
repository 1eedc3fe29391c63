"""What made some outputs, as one hash: the definitions that their code reaches, by name, and nothing else.

The code that is run counts whole: the cells of a notebook, the file of an experiment. From there, names are followed
through the modules that it imports. A module falls into *definitions* (top-level functions, classes, constants), which
count where their names are reached, and other statements (``torch.set_default_dtype(…)``, ``if``, ``table["x"] = f``),
which run at import and so count always, as do definitions whose decorator may register them. A definition reaches all
names that are global in it: in its body, decorators, base classes, default arguments and annotations. What cannot be
followed by name counts whole: a module that is used as a value (``getattr(module, name)``), imported by ``*`` or by
``importlib``, and one that reads its own names (``globals()``).

Code counts as a syntax tree, so that comments, docstrings and layout do not. Stored figures and weights that the code
loads count too, and the answers to the exercises that it checks: they are named by strings in it.

Four things are not seen: what a class leaves in a table by its base's ``__init_subclass__`` or to ``__subclasses__``,
what a definition leaves there in passing (``_ = table.setdefault("x", f)``), the order of a constant and a statement
that runs at import, or of two bindings of one name, and a decorator of the book's own with a harmless one's name.
"""

import ast
import hashlib
import json
import re
import symtable
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from aevb_utils.results.json_files import read_object
from tools.syntax import canonical, parse, read_text, without_fast_budgets, without_strings

PACKAGES = ("aevb_utils", "experiments")
"""What is followed."""
PINNED = ("numpy", "scikit-learn", "scipy", "torch")
"""What else has a part in the numbers: the versions that requirements.txt asks for count."""

HARMLESS_DECORATORS = frozenset(
    {"cache", "contextmanager", "dataclass", "final", "inference_mode", "lru_cache", "no_grad", "overload"}
    | {"runtime_checkable", "total_ordering", "wraps"}
)
"""These leave nothing behind beside the name; another decorator may keep what it decorates in a table."""

OWN_NAMES = frozenset({"globals", "vars", "locals", "eval", "exec"})
"""Functions by which a module may reach any of its own names; ``vars(x)`` reaches those of x alone."""

IMPORTERS = ("__import__", "importlib.import_module", "importlib.reload", "importlib.util", "runpy", "sys.modules")
"""Names by which code may reach any module."""

Chain = tuple[str, ...]
"""A dotted name in its parts: ``data.mnist`` is ("data", "mnist")."""
Target = tuple[str, Chain]
"""What an imported name means: a module, and the name in it, if there is one."""


class Module:
    """One file of the followed packages: its definitions, its imports, and what runs in any case."""

    def __init__(self, name: str, tree: ast.Module) -> None:
        self.name = name
        self.definitions: dict[str, list[ast.stmt]] = {}
        self.always: list[ast.stmt] = []
        self.imports: dict[str, list[Target]] = {}
        self.stars: list[str] = []  # modules imported by *
        for statement in without_strings(tree).body:
            imports, stars = _imports([statement])
            if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                for name, targets in imports.items():  # also those in an if or a try
                    self.imports.setdefault(name, []).extend(targets)
                self.stars += stars
            if not isinstance(statement, ast.Import | ast.ImportFrom):
                names = _defined(statement)
                for name in names:
                    self.definitions.setdefault(name, []).append(statement)
                if not names or _may_register(statement):
                    self.always.append(statement)
        self._read: dict[str, tuple[dict[str, list[Target]], list[str], set[Chain]]] = {}
        self._canonical: dict[str, str] = {}
        self._strings: dict[str, set[str]] = {}

    def reads(self, name: str, code: Sequence[ast.stmt]) -> tuple[dict[str, list[Target]], list[str], set[Chain]]:
        """What some code of the module imports inside, also by ``*``, and the dotted names in it; worked out once."""
        if name not in self._read:
            imports, stars = _imports(code)
            self._read[name] = imports, stars, _chains(code, set(imports))
        return self._read[name]

    def canonical(self, name: str, code: Sequence[ast.stmt]) -> str:
        """Some code of the module as text, see :func:`~tools.syntax.canonical`; worked out once."""
        if name not in self._canonical:
            self._canonical[name] = canonical(list(code))
        return self._canonical[name]

    def strings(self, name: str, code: Sequence[ast.stmt]) -> set[str]:
        """Every string in some code of the module; worked out once."""
        if name not in self._strings:
            self._strings[name] = _strings(code)
        return self._strings[name]


@cache
def _module(name: str, source: str, *, fast: bool) -> Module:
    """A module, from its source, with or without its fast budgets."""
    tree = parse(source, f"The module {name}")
    return Module(name, tree if fast else without_fast_budgets(tree))


class Reached:
    """All that some code reaches in the packages below a folder."""

    def __init__(self, tree: ast.Module, root: Path, *, fast: bool) -> None:
        self.root = root
        self.fast = fast  # whether fast budgets count
        self.modules: dict[str, Module | None] = {}
        self.code: dict[tuple[str, str], list[ast.stmt]] = {}  # by module and name
        self.imported: set[tuple[str, str, Target]] = set()  # what each name that is read means, by its module
        self._whole: set[str] = set()
        self._resolved: set[Target] = set()
        entry = Module("<0>", tree if fast else without_fast_budgets(tree))
        self.modules[entry.name] = entry
        self._import(entry.imports, entry.stars)
        self._follow(entry, "", tree.body)

    def strings(self) -> set[str]:
        """Every string in the code that counts."""
        return set().union(*(self.modules[name].strings(of, code) for (name, of), code in self.code.items()))

    def _module(self, name: str) -> Module | None:
        """A module of the packages, read the first time, and what it imports too; None if there is no such."""
        if name not in self.modules:
            file = _file(name, self.root)
            self.modules[name] = None if file is None else _module(name, read_text(file), fast=self.fast)
            if (module := self.modules[name]) is not None:
                self._import(module.imports, module.stars)
                self._follow(module, "", module.always)
        return self.modules[name]

    def _import(self, imports: dict[str, list[Target]], stars: list[str]) -> None:
        """Read what imports read: each package on the way, the module, and the one inside it that is named."""
        for name, inner in [target for targets in imports.values() for target in targets] + [(s, ()) for s in stars]:
            parts = (*name.split("."), *inner)
            for length in range(1, len(parts) + 1):
                self._module(".".join(parts[:length]))

    def _follow(self, module: Module, name: str, code: Sequence[ast.stmt]) -> None:
        """Count some code of a module, once, and follow the names in it."""
        if not code or (module.name, name) in self.code:
            return
        self.code[module.name, name] = list(code)
        inside, stars, chains = module.reads(name, code)
        self._import(inside, stars)
        for star in stars:
            self._count_whole(star)
        for chain in chains:
            self._follow_chain(module, chain, inside, code)

    def _follow_chain(
        self, module: Module, chain: Chain, inside: dict[str, list[Target]], code: Sequence[ast.stmt]
    ) -> None:
        """Follow one dotted name in some code of a module, which may import it inside."""
        first, *rest = chain
        targets = [*inside.get(first, []), *module.imports.get(first, [])]  # a name may be imported twice
        full = {".".join((target[0], *target[1], *rest)) for target in targets} or {".".join(chain)}
        if first in module.definitions:
            self._follow(module, first, module.definitions[first])
        for target in targets:
            self.imported.add((module.name, first, target))
            self._resolve(target[0], (*target[1], *rest))
        if not targets and first not in module.definitions:
            for star in module.stars:
                self._count_whole(star)
            if first in OWN_NAMES and not _asks_another(first, code):
                self._count_whole(module.name)
        if any(f"{each}.".startswith(f"{name}.") for each in full for name in IMPORTERS):
            named = [string for string in _strings(code) if _file(string, self.root) is not None]
            for name in named or _all_modules(self.root):  # where no string names a module, it may be any
                self._count_whole(name)

    def _resolve(self, name: str, chain: Chain) -> None:
        """Follow a name in a module of the packages to the definition that it means, through what imports it again."""
        if (name, chain) in self._resolved or (module := self._module(name)) is None:
            return
        self._resolved.add((name, chain))
        if not chain:  # the module is used as a value
            self._count_whole(name)
        elif chain[0] in module.definitions:
            self._follow(module, chain[0], module.definitions[chain[0]])
        elif again := [target for target in module.imports.get(chain[0], []) if target != (name, (chain[0],))]:
            for target in again:
                self._resolve(target[0], (*target[1], *chain[1:]))
        elif self._module(f"{name}.{chain[0]}") is not None:
            self._resolve(f"{name}.{chain[0]}", chain[1:])
        else:  # a name that it gets in some other way
            self._count_whole(name)

    def _count_whole(self, name: str) -> None:
        """Count every definition of a module, all that its imports bring, and the modules inside it."""
        if name in self._whole or (module := self._module(name)) is None:
            return
        self._whole.add(name)
        for definition, code in module.definitions.items():
            self._follow(module, definition, code)
        for target in (target for targets in module.imports.values() for target in targets):
            self._resolve(*target)
        for inner in [*module.stars, *(other for other in _all_modules(self.root) if other.startswith(f"{name}."))]:
            self._count_whole(inner)


def code_hash(tree: ast.Module, root: Path, *, fast: bool = True) -> str:
    """The hash of some code: of itself, the definitions it reaches below ``root``, the files of the package it loads.

    Args:
        tree: the code that is run; it counts whole.
        root: the folder that holds the packages.
        fast: whether what only the fast run sees counts, see :func:`~tools.syntax.without_fast_budgets`.
    """
    reached = Reached(tree, root, fast=fast)
    digest = hashlib.sha256()
    for (module, name), code in sorted(reached.code.items()):
        digest.update(f"{module, name}{reached.modules[module].canonical(name, code)}".encode())
    digest.update(repr(sorted(reached.imported)).encode())
    for content in (*_loaded(reached, root), *_pins(root / "requirements.txt")):
        digest.update(content)
    return digest.hexdigest()


def _pins(file: Path) -> Iterator[bytes]:
    """The lines of a file of requirements that name what is ``PINNED``."""
    if file.is_file():
        for line in sorted(read_text(file).splitlines()):
            if re.split(r"[^\w-]", line.strip())[0].lower() in PINNED:
                yield line.strip().encode()


def _loaded(reached: Reached, root: Path) -> Iterator[bytes]:
    """The answers, figures and weights that the code names, or all, if it reaches what loads them and names none."""
    package, functions = root / "aevb_utils", {name for _, name in reached.code}
    if ("aevb_utils.checking.exercises", "check_answer") in reached.code:
        numbers = [string.split(".")[0] for string in reached.strings() if re.fullmatch(r"\d{1,2}\.\d+", string)]
        chapters = {f"chapter_{number.zfill(2)}" for number in numbers}
        for file in _named(chapters, package / "checking" / "answers", "json"):
            yield json.dumps(read_object(file)).encode()
    if ("aevb_utils.results", "load") in reached.code:
        for file in _named(reached.strings(), package / "results", "json"):
            stored = read_object(file)
            yield json.dumps({key: stored.get(key) for key in ("machine", "minutes", "figures")}).encode()
    if functions & {"load_pretrained", "provenance"}:
        for file in _named(reached.strings(), package / "training" / "weights", "safetensors"):
            yield hashlib.sha256(file.read_bytes()).digest()


def _named(names: set[str], folder: Path, kind: str) -> list[Path]:
    """The files of a folder that are named; all of them, if none is."""
    files = sorted(folder.glob(f"*.{kind}"))
    return [file for file in files if file.stem in names] or files


# What a statement defines, and what it may leave behind


def _defined(statement: ast.stmt) -> list[str]:
    """The names that a function, a class or a constant defines; none for any other statement."""
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return [statement.name]
        case ast.Assign(targets=targets):
            parts = [part for target in targets for part in _parts(target)]
            return [part.id for part in parts] if all(isinstance(part, ast.Name) for part in parts) else []
        case ast.AnnAssign(target=ast.Name(id=name)) | ast.AugAssign(target=ast.Name(id=name)):
            return [name]
    return [statement.name.id] if type(statement).__name__ == "TypeAlias" else []  # new in Python 3.12


def _parts(target: ast.expr) -> list[ast.expr]:
    """The targets in ``a, (b, c) = …``."""
    if isinstance(target, ast.Tuple | ast.List):
        return [part for element in target.elts for part in _parts(element)]
    return [target.value] if isinstance(target, ast.Starred) else [target]


def definitions(code: Sequence[ast.stmt]) -> list[str]:
    """The names that some top-level code defines, in order."""
    return [name for statement in code for name in _defined(statement)]


def _may_register(statement: ast.stmt) -> bool:
    """Whether a definition may leave something behind when it is made: by a decorator, or by a class keyword."""
    decorators = getattr(statement, "decorator_list", [])
    names = [_chain(node.func if isinstance(node, ast.Call) else node) for node in decorators]
    return bool(getattr(statement, "keywords", [])) or any(
        name is None or name[-1] not in HARMLESS_DECORATORS for name in names
    )


# Names


def _asks_another(name: str, code: Sequence[ast.stmt]) -> bool:
    """Whether a name is ``vars``, and the code uses it in no other way than as ``vars(x)``."""
    nodes = [node for statement in code for node in ast.walk(statement)]
    given = [node.func for node in nodes if isinstance(node, ast.Call) and node.args]
    return name == "vars" and all(node in given for node in nodes if isinstance(node, ast.Name) and node.id == name)


def _chains(code: Sequence[ast.stmt], local: set[str]) -> set[Chain]:
    """The dotted names in some code that begin with a global name, or with one of ``local``."""
    names = global_names(code) | local
    found: set[Chain] = set()
    queue: list[ast.AST] = list(code)
    while queue:
        node = queue.pop()
        chain = _chain(node)
        if chain is None:
            queue.extend(ast.iter_child_nodes(node))
        elif chain[0] in names:
            found.add(chain)
    return found


def _chain(node: ast.AST) -> Chain | None:
    """The parts of a dotted name; None for anything else."""
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Attribute) and (inner := _chain(node.value)) is not None:
        return (*inner, node.attr)
    return None


def global_names(code: Sequence[ast.stmt]) -> set[str]:
    """The names that some top-level code reads from its module, however deep inside it."""
    source = "\n".join(map(ast.unparse, code))
    top = symtable.symtable(source, "<code>", "exec")
    names = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_referenced()}
    queue = top.get_children()
    while queue:
        table = queue.pop()
        queue.extend(table.get_children())
        in_class = table.get_type() == "class"  # there a name may be read before it is bound: RATE = RATE
        names |= {s.get_name() for s in table.get_symbols() if s.is_global() or (in_class and s.is_referenced())}
    return names


def _strings(code: Sequence[ast.stmt]) -> set[str]:
    """The strings in some code."""
    nodes = (node for statement in code for node in ast.walk(statement))
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def _imports(code: Sequence[ast.stmt]) -> tuple[dict[str, list[Target]], list[str]]:
    """What each imported name means, and the modules that are imported by ``*``."""
    names: dict[str, list[Target]] = {}
    stars: list[str] = []
    for node in (node for statement in code for node in ast.walk(statement)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.split(".")[0]
                names.setdefault(alias.asname or top, []).append((alias.name if alias.asname else top, ()))
                names.setdefault(f"import {alias.name}", []).append((alias.name, ()))  # `import a.b` reads a.b too
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                if alias.name == "*":
                    stars.append(node.module)
                else:
                    names.setdefault(alias.asname or alias.name, []).append((node.module, (alias.name,)))
    return names, stars


# Files


def _file(name: str, root: Path) -> Path | None:
    """The file of a module of the packages, None if there is no such."""
    parts = name.split(".")
    if parts[0] not in PACKAGES or not all(part.isidentifier() for part in parts):
        return None
    base = root.joinpath(*parts)
    return next(filter(Path.is_file, (base / "__init__.py", base.with_suffix(".py"))), None)


def _all_modules(root: Path) -> list[str]:
    """The names of all modules of the packages."""
    files = (file for package in PACKAGES for file in sorted((root / package).rglob("*.py")))
    return [".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__") for file in files]
