"""What this system alone can do is marked, and files name their encoding: the code is looked at, on whatever system."""

import ast
import os
import subprocess
import sys
import textwrap

import pytest

from tools.notebooks import ROOT

FOLDERS = ("aevb_utils", "benchmarks", "book", "experiments", "tests", "tools")
FUNCTIONS = {
    *("fork", "forkpty", "execv", "execve", "execvp", "execvpe", "execl", "execle", "execlp", "mkfifo", "mknod"),
    *("setsid", "killpg", "getuid", "geteuid", "getgid", "umask", "chown", "lchown", "chmod", "symlink", "readlink"),
    *("sched_getaffinity", "sched_setaffinity", "wait", "waitpid", "wait4", "pipe2", "getloadavg", "copymode"),
    *("SIGKILL", "SIGSTOP", "SIGCONT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGHUP", "setitimer", "pthread_kill"),
    "AF_UNIX",
}
"""What Windows lacks of the modules ``os``, ``signal``, ``socket`` and ``shutil``, or where it does something else."""
METHODS = {"symlink_to", "hardlink_to", "chmod", "lchmod", "readlink"}
"""The same of paths."""
POSIX_MODULES = {"fcntl", "grp", "pty", "pwd", "resource", "termios", "tty", "syslog"}
POSIX_PLACES = ("/tmp/", "/dev/", "/proc/")
MARKS = {"needs_fork", "needs_pipes", "needs_links", "needs_modes", "needs_make", "no_administrator"}

GUARDED_OTHERWISE = {
    "benchmarks/_memory.py": "run by hand, on Linux alone",
    "benchmarks/_rows.py": "looks whether the file is there",
    "tests/killed_runs.py": "only a test that needs fork starts it",
    "tests/several_processes.py": "only tests that need fork start it",
    "tests/systems.py": "defines the marks",
    "tests/tools/test_systems.py": "names the places",
    "tests/tools/test_make.py": "all of it needs make",
}
HARMLESS = {
    ("aevb_utils/training/atomic_write.py", "copymode"): "on Windows it copies the mark read-only",
    ("benchmarks/_rows.py", "getloadavg"): "guarded by hasattr",
}
NO_PATHS = {"Image", "gzip", "tarfile", "webbrowser", "zipfile"}
"""Modules whose ``open`` reads no text, as a rule."""
TEXT_METHODS = {"read_text": 0, "write_text": 1}
"""Methods that read or write text; where among the arguments the encoding is."""


def files():
    return sorted({ROOT / "conftest.py", *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))})


def is_marked(node: ast.AST) -> bool:
    """Whether a function has one of the marks, or a ``pytest.param`` has, or a system is asked for its name."""
    marks = []
    if isinstance(node, ast.FunctionDef):
        marks = node.decorator_list
    elif isinstance(node, ast.Call):
        marks = [keyword.value for keyword in node.keywords if keyword.arg == "marks"]
    elif isinstance(node, ast.If):
        marks = [node.test]
    parts = [part for mark in marks for part in ast.walk(mark)]
    return any(
        (isinstance(part, ast.Name) and part.id in MARKS) or (isinstance(part, ast.Constant) and part.value == "win32")
        for part in parts
    )


def unguarded(tree: ast.AST):
    """The POSIX-only names and places that stand in a tree, those under a mark aside."""
    if is_marked(tree):
        return
    if isinstance(tree, ast.Attribute):
        of_a_module = isinstance(tree.value, ast.Name) and tree.value.id in ("os", "signal", "socket", "shutil")
        if tree.attr in (FUNCTIONS if of_a_module else METHODS):
            yield tree.lineno, tree.attr
    if isinstance(tree, ast.Import):
        yield from ((tree.lineno, name.name) for name in tree.names if name.name in POSIX_MODULES)
    if isinstance(tree, ast.ImportFrom) and tree.module in POSIX_MODULES:
        yield tree.lineno, tree.module
    if isinstance(tree, ast.Constant) and isinstance(tree.value, str) and tree.value.startswith(POSIX_PLACES):
        yield tree.lineno, tree.value
    for child in ast.iter_child_nodes(tree):
        yield from unguarded(child)


def nameless(tree: ast.AST):
    """The calls in a tree that read or write text in whatever encoding the system has."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or any(keyword.arg in ("encoding", None) for keyword in node.keywords):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        keywords = {keyword.arg: keyword.value for keyword in node.keywords}
        if name in TEXT_METHODS:
            if len(node.args) <= TEXT_METHODS[name]:
                yield node.lineno, name
        elif name == "open" and not (isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) in NO_PATHS):
            first = 1 if isinstance(node.func, ast.Name) else 0
            mode = node.args[first] if len(node.args) > first else keywords.get("mode", ast.Constant("r"))
            if not (isinstance(mode, ast.Constant) and "b" in str(mode.value)):
                yield node.lineno, name
        elif name in ("run", "Popen", "check_output") and {"text", "universal_newlines"} & keywords.keys():
            yield node.lineno, f"{name}(text=True)"


def found_by(search):
    """What a search finds in all files, as lines for a message, and as pairs of a file and a name."""
    found = {}
    for path in files():
        name = path.relative_to(ROOT).as_posix()
        for line, what in search(ast.parse(path.read_text(encoding="utf-8"))):
            found[f"{name}:{line}: {what}"] = name, what
    return found


def test_what_not_every_system_has_is_marked():
    found = found_by(unguarded)
    lines = [
        line for line, (name, what) in found.items() if name not in GUARDED_OTHERWISE and (name, what) not in HARMLESS
    ]
    assert not lines, "give the test one of the marks of tests/systems.py:\n" + "\n".join(lines)
    assert {name for name, _ in found.values()} >= GUARDED_OTHERWISE.keys(), "an exception is needed no more"
    assert set(found.values()) >= HARMLESS.keys(), "an exception is needed no more"


def test_every_text_names_its_encoding():
    lines = list(found_by(nameless))
    assert not lines, 'write encoding="utf-8":\n' + "\n".join(lines)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("def test(path):\n    os.fork()\n    path.symlink_to('a')", ["fork", "symlink_to"]),
        ("@needs_fork\ndef test():\n    os.fork()", []),
        ("@pytest.mark.skipif(sys.platform == 'win32', reason='')\ndef test():\n    os.fork()", []),
        ("if sys.platform == 'win32':\n    import msvcrt\nelse:\n    import fcntl", []),
        ("@mark('needs_fork')\ndef test():\n    os.fork()", ["fork"]),
        ("[pytest.param(lambda p: os.mkfifo(p), marks=needs_pipes), os.mkfifo]", ["mkfifo"]),
        ("import resource, os\nfrom fcntl import flock", ["resource", "fcntl"]),
        ("open('/tmp/x', 'rb')", ["/tmp/x"]),
        ("history.wait(1)\nos.wait()", ["wait"]),
    ],
)
def test_unguarded_names_are_found(code, expected):
    assert [what for _, what in unguarded(ast.parse(code))] == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("path.read_text()\npath.read_text('utf-8')\npath.read_text(encoding='utf-8')", ["read_text"]),
        ("path.write_text('a')\npath.write_text('a', 'utf-8')", ["write_text"]),
        ("open(path)\nopen(path, 'rb')\nopen(path, mode='w', encoding='utf-8')", ["open"]),
        ("Image.open(file)\npath.open()\npath.open('wb')\npath.open('w')", ["open", "open"]),
        ("run([], text=True)\nrun([], encoding='utf-8')\nrun([])", ["run(text=True)"]),
    ],
)
def test_texts_without_an_encoding_are_found(code, expected):
    assert [what for _, what in nameless(ast.parse(code))] == expected


CHECKS = textwrap.dedent("""
    from aevb_utils.checking import check_answer, check_at_least, check_at_most, check_close, check_fails, check_true
    check_close("σ² ≤ ½ → ∞", -1.0, -1.0, atol=1e-9)
    check_at_most("a", 1.0, 2.0)
    check_at_least("漢字", 2.0, 1.0)
    check_true("€", True)
    check_fails(lambda: check_close("“β” − λ", 1.0, 2.0, atol=1e-9))
    check_answer("2.2", 8.2)
    check_answer("2.2", ...)
    try:
        check_true("λ", False)
    except AssertionError as error:
        assert "λ" in str(error)
    else:
        raise SystemExit("the check does not fail")
""")
CONSOLES = {name: {"PYTHONIOENCODING": name} for name in ("cp1252", "cp850", "cp932", "ascii")} | {
    "LC_ALL=C": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
}


@pytest.mark.parametrize("console", CONSOLES)
def test_a_script_with_checks_ends_well_on_any_console(console, tmp_path):
    """A process of its own, whose output goes into a pipe, as with ``python my_model.py > log``."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHONIO", "PYTHONUTF", "LC_"))
    }
    environment = inherited | {"PYTHONPATH": str(ROOT)} | CONSOLES[console]
    script = tmp_path / "checks.py"
    script.write_text(CHECKS, encoding="utf-8")
    run = subprocess.run([sys.executable, script], env=environment, capture_output=True, check=False)
    assert run.returncode == 0, run.stderr.decode("utf-8", "replace")
    assert run.stderr == b""
    lines = run.stdout.splitlines()
    assert len(lines) >= 7
    assert lines[0].startswith(b"ok ")
