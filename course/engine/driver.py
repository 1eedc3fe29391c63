"""What runs inside the box: a submission's cells, then calls of its functions. Only plain numbers leave, as JSON lines.

Student code shares a process with this file and may change all of it. Nothing here is trusted: what leaves is checked
outside, by ``answers.py``, and holds no points. So this file needs the standard library, numpy and torch alone,
and ``needed.py``, which lies beside it.
"""

import __future__

import ast
import builtins
import importlib
import importlib.util
import json
import os
import shutil
import signal
import sys
import time
import types
import warnings
from pathlib import Path
from typing import Any

LONGEST_TEXT = 300
LARGEST_ARRAY = 200_000
DEEPEST = 4


def beside(name: str) -> types.ModuleType:
    """A module that lies in this file's folder, which is not on the path: its names would hide others'."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TimeoutInCell(BaseException):
    """A cell has used its time."""


def plain(value: object, depth: int = 0) -> object:
    """A value as JSON: numbers, short text, arrays of numbers, and tuples, lists and dicts of them.

    Raises:
        TypeError: it is something else, too large or nested too deeply.
    """
    import numpy as np
    import torch

    if depth > DEEPEST:
        raise TypeError("It is nested too deeply.")
    if value is None or type(value) in (bool, int, float):
        return value
    if type(value) is str:
        return {"text": value[:LONGEST_TEXT]}
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        if array.dtype.kind not in "biuf" or array.size > LARGEST_ARRAY:
            raise TypeError(f"An array of {array.size} {array.dtype} is no answer.")
        kind = "float64" if array.dtype.kind == "f" else "bool" if array.dtype.kind == "b" else "int64"
        return {"shape": list(array.shape), "kind": kind, "data": array.astype(kind).ravel().tolist()}
    if type(value) is dict:
        return {"keys": [str(key)[:LONGEST_TEXT] for key in value], "of": [plain(v, depth + 1) for v in value.values()]}
    if isinstance(value, tuple | list):
        return [plain(item, depth + 1) for item in value]
    raise TypeError(f"It returned {type(value).__name__}, not numbers.")


def fresh(value: object) -> object:
    """What :func:`plain` wrote, with arrays as new tensors."""
    import torch

    if isinstance(value, dict) and "data" in value:
        return torch.tensor(value["data"], dtype=getattr(torch, value["kind"])).reshape(value["shape"])
    if isinstance(value, dict):
        return value["text"] if "text" in value else dict(zip(value["keys"], map(fresh, value["of"]), strict=True))
    return [fresh(item) for item in value] if isinstance(value, list) else value


class Line:
    """The way out: a pipe that takes JSON lines."""

    def __init__(self, pipe: int) -> None:
        self.pipe, self.write, self.dumps = pipe, os.write, json.dumps

    def say(self, **said: object) -> None:
        """Write one line, whole."""
        rest = memoryview((self.dumps(said) + "\n").encode("utf-8", "replace"))
        while rest:
            rest = rest[self.write(self.pipe, rest) :]


def limit(limits: dict[str, int]) -> None:
    """Take on the limits of every process here; they cannot be raised again."""
    import resource

    names = {"memory": "RLIMIT_AS", "processes": "RLIMIT_NPROC", "file_size": "RLIMIT_FSIZE", "cpu": "RLIMIT_CPU"}
    for name, value in {**limits, "core": 0}.items():
        which = getattr(resource, names.get(name, "RLIMIT_CORE"), None)
        if which is not None:
            resource.setrlimit(which, (value, value))


def tree_of(source: str, name: str) -> ast.Module:
    """A cell's statements: as it is, or where that is no Python, without IPython's magics."""
    try:
        return ast.parse(source, name)
    except SyntaxError:
        from IPython.core.inputtransformer2 import TransformerManager

        return ast.parse(TransformerManager().transform_cell(source), name)


def run_cell(source: str, name: str, names: dict[str, Any]) -> Exception | None:
    """Run a cell; a statement for which a module or a name is missing is left out, and the first such error returned.

    Raises:
        BaseException: what else the cell raises, which ends it.
    """
    statements, first, flags = tree_of(source, name).body, None, 0
    for node in statements:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            flags |= sum(getattr(getattr(__future__, one.name, None), "compiler_flag", 0) for one in node.names)
    code = [compile(ast.Module([node], []), name, "exec", flags) for node in statements]
    for statement in code:
        try:
            exec(statement, names)
        except (ImportError, NameError) as error:
            first = first or error
    return first


class NoShell:
    """What ``get_ipython()`` gives: whatever is asked of it does nothing."""

    def __getattr__(self, _: str) -> object:
        return lambda *_, **__: None


class NoCompiler(types.ModuleType):
    """Stands for ``torch._dynamo``, whose import takes a second in every process that has an optimizer.

    What optimizers ask of it has no effect outside of torch's compiler; for anything else it is imported after all.
    """

    @staticmethod
    def graph_break(*_: object, **__: object) -> None:
        """Nothing."""

    @staticmethod
    def disable(function: object, *_: object, **__: object) -> object:
        """The function as it is."""
        return function

    def __getattr__(self, name: str) -> object:
        if name.startswith("__") and name != "__path__":
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def no_input(*_: object) -> str:
    """``input()`` while grading."""
    raise EOFError("Nobody answers while a notebook is graded.")


def run_cells(order: dict[str, Any], line: Line) -> dict[str, Any]:
    """Run the cells in one namespace, to the last that is needed; what one raises is noted, and the next one runs."""

    def out_of_time(*_: object) -> None:
        raise TimeoutInCell

    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    names: dict[str, Any] = main.__dict__
    names["get_ipython"] = NoShell
    builtins.input = no_input
    warnings.simplefilter("ignore")
    seconds, set_timer, set_handler = order["cell_seconds"], signal.setitimer, signal.signal
    last = beside("needed").last_needed(order["cells"], {call["function"] for call in order["calls"]})
    for number, source in enumerate(order["cells"][: last + 1]):
        if number in order["skip"]:
            continue
        line.say(begin=number)
        set_handler(signal.SIGPROF, out_of_time)
        set_handler(signal.SIGALRM, out_of_time)
        try:
            set_timer(signal.ITIMER_PROF, seconds)
            set_timer(signal.ITIMER_REAL, 2 * seconds)
            try:
                left_out = run_cell(source, f"<cell {number + 1}>", names)
            finally:
                set_timer(signal.ITIMER_PROF, 0)
                set_timer(signal.ITIMER_REAL, 0)
            if left_out is not None:
                raise left_out
        except BaseException as error:
            line.say(cell=number, error=type(error).__name__[:60], message=words(error))
    return names


def words(error: BaseException) -> str:
    """What an exception says; nothing where even that fails."""
    try:
        return str(error)[:LONGEST_TEXT]
    except BaseException:
        return ""


def answer(names: dict[str, Any], call: dict[str, Any], line: Line) -> None:
    """Call one function, in this process, and say what it returns."""
    import resource

    import torch

    seconds = call["seconds"]
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    number = call["id"]
    try:
        function = names.get(call["function"])
        if not callable(function):
            line.say(call=number, status="missing")
            return
        torch.manual_seed(call["seed"])
        torch.set_default_dtype(torch.float64)
        value = function(*fresh(call["args"]))
        line.say(call=number, status="ok", value=plain(value))
    except BaseException as error:
        line.say(call=number, status="error", error=type(error).__name__[:60], message=words(error))


def run_calls(order: dict[str, Any], names: dict[str, Any], line: Line) -> None:
    """Make every call in a process of its own: state, crashes and limits stay there."""
    fork, leave, wait, clock, sleep, kill = os.fork, os._exit, os.waitpid, time.monotonic, time.sleep, os.kill
    slow: set[str] = set()
    for call in order["calls"]:
        if call["function"] in slow:
            line.say(call=call["id"], status="timeout")
            continue
        line.say(calling=call["id"])
        child = fork()
        if child == 0:
            try:
                answer(names, call, line)
            finally:
                leave(0)
        end = clock() + 4 * call["seconds"] + 4
        while True:
            ended, status = wait(child, os.WNOHANG)
            if ended:
                if os.WIFSIGNALED(status):
                    out = os.WTERMSIG(status) in (signal.SIGKILL, signal.SIGXCPU)
                    if out:
                        slow.add(call["function"])
                    line.say(call=call["id"], status="timeout" if out else "crash")
                else:
                    line.say(call=call["id"], status="silent")  # the first line of a call counts
                break
            if clock() > end:
                kill(child, signal.SIGKILL)
                wait(child, 0)
                slow.add(call["function"])
                line.say(call=call["id"], status="timeout")
                break
            sleep(0.003)


def main() -> None:
    """Read the order from stdin, run it, and write lines to what was stdout."""
    line = Line(os.dup(1))
    order = json.loads(sys.stdin.buffer.read())
    if order.get("cache"):
        shutil.copytree(order["cache"], os.environ["MPLCONFIGDIR"], dirs_exist_ok=True)
    limit(order["limits"])
    import torch

    torch.set_num_threads(1)
    if "torch._dynamo" not in sys.modules:
        torch._dynamo = sys.modules["torch._dynamo"] = NoCompiler("torch._dynamo")
    null = os.open(os.devnull, os.O_RDWR)  # from here on nobody hears what is printed
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    line.say(ready=True)
    run_calls(order, run_cells(order, line), line)
    line.say(done=True, cpu=sum(os.times()[:4]))
    os._exit(0)


if __name__ == "__main__":
    main()
