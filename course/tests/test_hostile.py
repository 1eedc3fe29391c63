"""No submission gets more than its honest part, nothing outside the box is touched, and nothing is left running."""

import os
import socket

import pytest
from boxes import STRICT, needs_box
from hostile import ATTACKS, HONEST
from small import checks, notebook

from course.engine.box import Rung, slot_user
from course.engine.grade import grade
from course.engine.processes import owner

pytestmark = needs_box


@pytest.fixture
def canary(tmp_path):
    """A folder outside the box, which anybody may write to."""
    folder = tmp_path / "canary"
    folder.mkdir()
    (folder / "canary.txt").write_text("alive", encoding="utf-8")
    folder.chmod(0o777)
    (folder / "canary.txt").chmod(0o666)
    yield folder
    assert [path.name for path in folder.iterdir()] == ["canary.txt"]
    assert (folder / "canary.txt").read_text(encoding="utf-8") == "alive"


@pytest.fixture
def port():
    """An open port of this machine, on which nobody may call."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.01)
        yield server.getsockname()[1]
        with pytest.raises(TimeoutError):
            server.accept()


def left_behind() -> list[int]:
    """Processes that a run has left: of its user, or of the driver."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                words = file.read()  # empty where it has ended, and is not waited for yet
        except OSError:
            continue
        if words and (owner(int(name)) == slot_user(0) or (b"/driver.py" in words and is_ours(int(name)))):
            found.append(int(name))
    return found


def is_ours(pid: int) -> bool:
    """Whether this process is among a process's ancestors."""
    while pid > 1:
        if pid == os.getpid():
            return True
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                pid = int(file.read().rpartition(")")[2].split()[1])
        except OSError:
            return False
    return False


@pytest.mark.parametrize("name", ATTACKS)
def test_nobody_gets_more_than_the_honest_part(name, canary, port, tmp_path):
    attack = ATTACKS[name]
    code = attack.code.replace("@CANARY@", str(canary)).replace("@PORT@", str(port))
    path = notebook(tmp_path / "handed_in.ipynb", code, HONEST)
    result = grade(path, "any", checks(), Rung.BOX, STRICT)
    print(f"{name}: {result.score} points, {result.cpu} CPU s", *result.notes, *{i.sentence for i in result.items})
    assert attack.least <= result.score <= 4
    assert left_behind() == []


def test_what_the_attacks_attack_can_be_solved(tmp_path):
    right = "def cumulate(x):\n    return x.cumsum(0)"
    result = grade(notebook(tmp_path / "a.ipynb", HONEST, right), "any", checks(), Rung.BOX, STRICT)
    assert (result.score, result.notes) == (10, ())
