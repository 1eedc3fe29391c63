"""Functions run in several processes at once, which find each other as under torchrun; forked, as torch is loaded."""

import os
import signal
import socket
import time
import traceback

import torch


def free_port():
    """A port of this machine that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start(function, size, folder):
    """Begin ``function(rank)`` in each of so many processes; its result, or its error, goes to a file of its own."""
    port = free_port()
    return [_fork(function, rank, size, port, folder / f"{rank}.pt") for rank in range(size)]


def _fork(function, rank, size, port, output):
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        place = {"RANK": rank, "WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        os.environ |= {name: str(value) for name, value in place.items()}
        torch.set_num_threads(1)
        try:
            result = function(rank)
            status = 0
        except Exception as error:
            result = f"{type(error).__name__}: {error}"
            status = 3
        torch.save(result, output)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)
    return None


def end(children):
    """The exit status of each, or minus the signal that ended it, when all have ended, or were ended after a minute."""
    try:
        wait_until(lambda: all(map(has_ended, children)))
    except AssertionError:
        for child in children:
            kill(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def results(function, size, folder):
    """What a function returns in each process, in order; an error as text."""
    folder.mkdir(exist_ok=True)
    statuses = end(start(function, size, folder))
    assert set(statuses) <= {0, 3}, statuses
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(size)]


def kill(child):
    """End a process as kill -9 does."""
    os.kill(child, signal.SIGKILL)


def has_ended(child):
    """Whether a process has ended; it stays to be waited for."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def wait_until(condition, seconds=60):
    """Wait for something to become true."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.001)
