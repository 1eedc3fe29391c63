"""What a notebook's cell does to the things that earlier cells made: a second run of it would find them changed.

Read from the code alone, cell by cell. A name that the cell binds anew is its own; any other is from an earlier cell,
and so is what is only another name for a part of it: ``q = families["full"]``, ``for q in families.values()``, the
optimizer over its parameters. Functions of the notebook are followed, and the package's are in ``CHANGING``. Random
numbers are not looked at: a second run may draw others.
"""

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field

Names = frozenset[str]

NO_CHANGE = {"run_em": "aevb_utils.models.mixture_em"}
"""Names that stand for another function, which changes nothing, where they are imported from this module."""
LIST_METHODS = frozenset({"append", "extend", "insert", "pop", "popitem", "remove", "discard", "clear"})
LIST_METHODS |= {"appendleft", "setdefault", "update", "reverse"}
MODEL_METHODS = frozenset({"step", "load_state_dict"})
VIEWS = frozenset({"parameters", "named_parameters", "generative_parameters", "inference_parameters"})
VIEWS |= {"items", "values", "train", "eval", "requires_grad_", "detach", "view", "flatten", "diagonal"}
CONTAINERS = frozenset({"zip", "enumerate", "list", "tuple", "dict", "iter", "reversed", "sorted", "next"})

DISPLAYS = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)


@dataclass
class Summary:
    """What a function of the notebook does to its parameters, and to names outside it."""

    parameters: tuple[str, ...]
    changed: Names = frozenset()
    returned: Names = frozenset()
    read: Names = frozenset()


TRAINED = frozenset({"model", "optimizer", "scheduler", "history"})
CHANGING = {
    "fit": Summary(("model", "data", *sorted(TRAINED - {"model"})), TRAINED),
    "run_em": Summary(("model",), TRAINED & {"model"}),
    "exact_m_step": Summary(("model",), TRAINED & {"model"}),
}
"""Functions of the package that change what they are given."""


@dataclass
class Notebook:
    """The functions that the cells so far have defined, and the classes and methods that change the instance."""

    functions: dict[str, Summary] = field(default_factory=dict)
    callables: set[str] = field(default_factory=set)
    methods: set[str] = field(default_factory=set)
    instances: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.functions |= CHANGING

    def read(self, source: str) -> list[str]:
        """The faults of the next cell, one line each."""
        flow = Flow(self, is_cell=True)
        flow.run(ast.parse(source).body)
        return flow.faults()


class Flow:
    """One pass through some statements, in order: what each name stands for, and what is changed."""

    def __init__(self, notebook: Notebook, own: Iterable[str] = (), *, is_cell: bool = False) -> None:
        self.notebook = notebook
        self.is_cell = is_cell
        self.roots: dict[str, Names] = {name: frozenset() for name in own}
        self.new: set[str] = set()
        self.seen: dict[str, int] = {}
        self.changed: dict[str, int] = {}
        self.rebound: dict[str, int] = {}
        self.deleted: dict[str, int] = {}
        self.returned: Names = frozenset()

    def faults(self) -> list[str]:
        """What a second run would find changed."""
        kinds = {"changes": self.changed, "rebinds": self.rebound, "deletes": self.deleted}
        return [f"{kind} {name} (line {line})" for kind, names in kinds.items() for name, line in names.items()]

    def of(self, node: ast.expr | None) -> Names:
        """The names of earlier cells that a value is, or is a part of."""
        match node:
            case ast.Name(name):
                return self.roots.get(name, frozenset({name}))
            case ast.Attribute() | ast.Subscript() if ast.unparse(node) in self.roots:
                return self.roots[ast.unparse(node)]
            case ast.Attribute(value, _) | ast.Subscript(value, _) | ast.Starred(value) | ast.NamedExpr(_, value):
                return self.of(value)
            case ast.Tuple(parts) | ast.List(parts) | ast.Set(parts) | ast.BoolOp(_, parts):
                return self.of_all(parts)
            case ast.Dict(_, parts):
                return self.of_all(parts)
            case ast.IfExp(_, body, other):
                return self.of_all([body, other])
            case ast.ListComp(part, _) | ast.SetComp(part, _) | ast.GeneratorExp(part, _) | ast.DictComp(_, part, _):
                return self.of(part)
            case ast.Call():
                return self.of_call(node)
        return frozenset()

    def of_all(self, nodes: Iterable[ast.expr | None]) -> Names:
        """The same of several values together."""
        return frozenset().union(*(self.of(node) for node in nodes))

    def of_call(self, call: ast.Call) -> Names:
        """The same of what a call returns: most make something new."""
        arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
        match call.func:
            case ast.Attribute(value, name) if name in VIEWS:
                return self.of(value)
            case ast.Name(name) if name in CONTAINERS:
                return self.of_all(arguments)
            case ast.Name(name) if name in self.notebook.functions:
                summary = self.notebook.functions[name]
                return self.handed_over(call, summary, summary.returned)
        return self.of_all(arguments) if "optim." in ast.unparse(call.func) else frozenset()

    def handed_over(self, call: ast.Call, summary: Summary, names: Names) -> Names:
        """Names as a function has them, its parameters and those outside it, as the caller has them."""
        given: dict[str, ast.expr] = {}
        if not any(isinstance(argument, ast.Starred) for argument in call.args):
            given |= dict(zip(summary.parameters, call.args, strict=False))
        given |= {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
        outside = [ast.Name(name) for name in names if name not in summary.parameters]
        return self.of_all([given[name] for name in names if name in given]) | self.of_all(outside)

    def change(self, names: Iterable[str], line: int) -> None:
        """Note that names of earlier cells are changed here."""
        for name in names:
            self.changed.setdefault(name, line)

    def change_itself(self, node: ast.expr, line: int) -> None:
        """Note that a thing is changed, though not the parts that a new list or dict of this code holds."""
        if not (isinstance(node, ast.Name) and node.id in self.new):
            self.change(self.of(node), line)

    def run(self, body: Iterable[ast.stmt]) -> None:
        """Go through statements in order."""
        for statement in body:
            self.statement(statement)

    def statement(self, node: ast.stmt) -> None:
        """Go through one statement, its own values first and then the names that it binds."""
        match node:
            case ast.FunctionDef():
                self.define(node)
            case ast.ClassDef():
                self.define_class(node)
            case ast.Assign(targets, value):
                self.value(value)
                for target in targets:
                    self.bind(target, value)
            case ast.AnnAssign(target, _, value) if value is not None:
                self.value(value)
                self.bind(target, value)
            case ast.AugAssign(target, _, value):
                self.value(value)
                self.value(target)
                self.change_itself(target, node.lineno)
            case ast.For(target, values, body, other):
                self.value(values)
                self.bind(target, values)
                self.run([*body, *other])
            case ast.With(items, body):
                for item in items:
                    self.value(item.context_expr)
                    if item.optional_vars is not None:
                        self.bind(item.optional_vars, None)
                self.run(body)
            case ast.Delete(targets):
                for name in self.of_all(targets):
                    self.deleted.setdefault(name, node.lineno)
            case ast.Return(value):
                self.value(value)
                self.returned |= self.of(value)
            case ast.Import(names) | ast.ImportFrom(_, names):
                self.import_(node, names)
            case _:
                for child in ast.iter_child_nodes(node):
                    self.any(child)

    def any(self, node: ast.AST) -> None:
        """Go through a part of a statement, whatever it is."""
        if isinstance(node, ast.stmt):
            self.statement(node)
        elif isinstance(node, ast.expr):
            self.value(node)
        else:
            for child in ast.iter_child_nodes(node):
                self.any(child)

    def import_(self, node: ast.stmt, names: list[ast.alias]) -> None:
        """Bind what is imported."""
        for alias in names:
            name = alias.asname or alias.name.split(".")[0]
            self.roots[name] = frozenset()
            if NO_CHANGE.get(name) == getattr(node, "module", ""):
                self.notebook.functions.pop(name, None)

    def bind(self, target: ast.expr, value: ast.expr | None) -> None:
        """Give a target what a value stands for; a name that was read from an earlier cell is rebound from itself."""
        match target:
            case ast.Tuple(parts) | ast.List(parts):
                for part, its in zip(parts, _in_pairs(value, len(parts)), strict=True):
                    self.bind(part, its)
            case ast.Starred(part):
                self.bind(part, value)
            case ast.Name(name):
                if name in self.seen and name not in self.roots:
                    self.rebound.setdefault(name, self.seen[name])
                self.roots[name] = self.of(value) - {name}
                self.note_instance(name, value)
            case _:
                self.value(target)
                self.change_itself(target.value, target.lineno)
                self.roots[ast.unparse(target)] = self.of(value)

    def note_instance(self, name: str, value: ast.expr | None) -> None:
        """Remember a name that is a new list or dict, or whose calls change it."""
        self.notebook.instances.discard(name)
        self.new.discard(name)
        if isinstance(value, DISPLAYS):
            self.new.add(name)
        if isinstance(value, ast.Call) and ast.unparse(value.func) in self.notebook.callables:
            self.notebook.instances.add(name)

    def value(self, node: ast.expr | None) -> None:
        """Go through an expression: the names it reads, the calls it makes."""
        match node:
            case None | ast.Lambda():
                return
            case ast.Name(name):
                self.look_up([name], node.lineno)
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                self.comprehension(node)
            case ast.NamedExpr(target, value):
                self.value(value)
                self.bind(target, value)
            case _:
                for child in ast.iter_child_nodes(node):
                    self.any(child)
                if isinstance(node, ast.Call):
                    self.call(node)

    def look_up(self, names: Iterable[str], line: int) -> None:
        """Note which names of earlier cells are read here."""
        for name in names:
            if name not in self.roots:
                self.seen.setdefault(name, line)

    def comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        """A comprehension has names of its own; what its parts stand for is noted under them, and stays hidden."""
        hidden = {}
        for part in node.generators:
            self.value(part.iter)
            for name in _stored(part.target):
                hidden.setdefault(name, self.roots.get(name))
                self.roots[name] = self.of(part.iter)
            for test in part.ifs:
                self.value(test)
        for child in ("key", "value", "elt"):
            self.value(getattr(node, child, None))
        for name, before in hidden.items():
            self.roots.pop(name)
            if before is not None:
                self.roots[name] = before

    def call(self, node: ast.Call) -> None:
        """What a call changes: its receiver, its arguments, and what functions among its arguments change."""
        match node.func:
            case ast.Attribute(receiver, name):
                in_place = name.endswith("_") and not name.endswith("__") and name != "requires_grad_"
                if name in MODEL_METHODS | self.notebook.methods or in_place:
                    self.change(self.of(receiver), node.lineno)
                elif name in LIST_METHODS:
                    self.change_itself(receiver, node.lineno)
            case ast.Name(name) if name in self.notebook.functions:
                summary = self.notebook.functions[name]
                self.change(self.handed_over(node, summary, summary.changed), node.lineno)
                self.look_up(summary.read, node.lineno)
            case ast.Name(name) if name in self.notebook.instances:
                self.change(self.of(node.func), node.lineno)
        for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
            if isinstance(argument, ast.Name) and argument.id in self.notebook.functions:
                summary = self.notebook.functions[argument.id]
                outside = [ast.Name(name) for name in summary.changed if name not in summary.parameters]
                self.change(self.of_all(outside), node.lineno)

    def define(self, node: ast.FunctionDef) -> None:
        """A function: what a call of it will do."""
        for default in [*node.args.defaults, *node.args.kw_defaults]:
            self.value(default)
        summary = summarize(node, self.notebook)
        self.notebook.functions[node.name] = summary
        self.roots[node.name] = frozenset()

    def define_class(self, node: ast.ClassDef) -> None:
        """A class: which of its methods change the instance, and whether a call of the instance does."""
        methods = (each for each in node.body if isinstance(each, ast.FunctionDef) and each.args.args)
        for method in methods:
            summary = summarize(method, self.notebook)
            if summary.parameters[0] in summary.changed and method.name == "__call__":
                self.notebook.callables.add(node.name)
            elif summary.parameters[0] in summary.changed and not method.name.startswith("__"):
                self.notebook.methods.add(method.name)
        self.roots[node.name] = frozenset()


def summarize(node: ast.FunctionDef, notebook: Notebook) -> Summary:
    """What a function does, from its body, with its parameters as the names from outside."""
    every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    extra = [each for each in (node.args.vararg, node.args.kwarg) if each is not None]
    local = _stored(*node.body) - {name for each in ast.walk(node) for name in getattr(each, "names", ()) if each}
    parameters = tuple(each.arg for each in every)
    flow = Flow(notebook, own=[each.arg for each in extra])
    flow.run(node.body)
    changed = frozenset(flow.changed) - (local - frozenset(parameters))
    return Summary(
        parameters,
        changed,
        flow.returned - (local - frozenset(parameters)),
        frozenset(flow.seen) - local - {*parameters},
    )


def _stored(*nodes: ast.AST) -> Names:
    """The names that are bound in some code."""
    inside = (child for node in nodes for child in ast.walk(node))
    return frozenset(n.id for n in inside if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))


def _in_pairs(value: ast.expr | None, length: int) -> list[ast.expr | None]:
    """What each of so many targets gets: its own part of a tuple or of ``zip``, or else the whole."""
    match value:
        case ast.Tuple(parts) | ast.List(parts) if len(parts) == length:
            return list(parts)
        case ast.Call(ast.Name("zip"), parts) if len(parts) == length:
            return list(parts)
    return [value] * length
