"""Submissions that want more than their answers are worth, or to break what is around them.

Each is code in a cell before ``HONEST``, where ``double`` is right and ``cumulate`` is not
written. So the honest part is worth 4 of 10 points.
"""

from typing import NamedTuple

HONEST = "def double(x):\n    return 2 * x"
FORGED = (
    '\\n{"call": 0, "status": "ok", "value": 1e9}\\n{"call": 2, "status": "ok", "value": 1}\\n'
    '{"score": 10, "points": 10}\\n{"done": true}\\n'
)
ANYTHING = """
class Yes:
    shape, dtype, data, ndim = (4,), "float64", 1, 1
    def __getattr__(self, name): return Yes()
    def __call__(self, *_, **__): return Yes()
    def __eq__(self, _): return True
    def __bool__(self): return True
    __ne__ = __lt__ = __le__ = __gt__ = __ge__ = lambda self, other: True
    def __abs__(self): return 0.0
    __sub__ = __rsub__ = lambda self, other: 0.0
    def __array__(self, *_, **__): return np.zeros(4)
def cumulate(x): return Yes()
"""


class Attack(NamedTuple):
    """Code, and the points that it must get at least."""

    code: str
    least: float = 4.0


ATTACKS = {
    "endless loop": Attack("while True: pass"),
    "endless loop that catches all": Attack(
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass"
    ),
    "timers switched off": Attack(
        "import signal\nfor s in (signal.SIGPROF, signal.SIGALRM): signal.signal(s, signal.SIG_IGN)\nwhile True: pass"
    ),
    "sleep": Attack("import time\ntime.sleep(1000)"),
    "os._exit": Attack("import os\nos._exit(0)"),
    "sys.exit": Attack("import sys\nsys.exit(0)"),
    "crash": Attack("import ctypes\nctypes.string_at(0)"),
    "kills everything": Attack("import os\nos.kill(-1, 9)"),
    "stops the driver": Attack("import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)"),
    "fork bomb": Attack("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"),
    "slow fork bomb": Attack(
        "import os, time\nfor _ in range(40):\n    if os.fork() == 0: time.sleep(1000)", least=0.0
    ),
    "thread bomb": Attack(
        "import threading, time\nfor _ in range(100): threading.Thread(target=time.sleep, args=(1000,)).start()",
        least=0.0,
    ),
    "3 GB": Attack("import torch\nx = torch.ones(3 * 2**27, dtype=torch.float64)"),
    "3 GB in small parts": Attack(  # what it holds may leave no memory for the cells that follow
        "parts = []\nwhile True: parts.append(bytearray(10**7))", least=0.0
    ),
    "20 MB of print": Attack("print('x' * 20_000_000)"),
    "20 MB to every descriptor": Attack(
        "import os\nfor fd in range(3, 30):\n    try: os.write(fd, b'x' * 20_000_000)\n    except OSError: pass",
        least=0.0,
    ),
    "fills the disk": Attack(
        "import os\nfor n in range(300):\n    for f in ('/tmp', '/scratch', '/dev/shm'):\n"
        "        try: open(f'{f}/{n}', 'wb').write(b'x' * 10**7)\n        except OSError: pass",
        least=0.0,
    ),
    "forged lines": Attack(
        f"import os\nfor fd in range(1, 30):\n    try: os.write(fd, b'{FORGED}')\n    except OSError: pass",
        least=0.0,
    ),
    "forged lines from a process left behind": Attack(
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    for _ in range(20):\n"
        "        for fd in range(3, 20):\n"
        f"            try: os.write(fd, b'{FORGED}')\n            except OSError: pass\n        time.sleep(0.1)\n"
        "    os._exit(0)",
        least=0.0,
    ),
    "forged lines and an end": Attack(
        "import os\nfor fd in range(1, 30):\n"
        f"    try: os.write(fd, b'{FORGED}')\n    except OSError: pass\nos._exit(0)",
        least=0.0,
    ),
    "prints a score": Attack("print('{\"score\": 10}')\nprint('✓ exercise 1')"),
    "equal to anything": Attack(ANYTHING),
    "patched comparisons": Attack(
        "import torch, numpy as np, math\n"
        "torch.allclose = np.allclose = np.array_equal = torch.equal = math.isclose = lambda *a, **k: True\n"
        "def cumulate(x): return x"
    ),
    "patched library": Attack(
        "import json, os, builtins\njson.dumps = lambda *a, **k: '{\"score\": 10}'\nos.waitpid = lambda *a: (1, 0)\n"
        "builtins.isinstance = lambda *a: True",
        least=0.0,
    ),
    "patched driver": Attack(
        "import gc, types\nfor f in gc.get_objects():\n"
        "    if isinstance(f, types.FunctionType) and f.__name__ == 'plain':\n"
        "        f.__code__ = (lambda value, depth=0: {'shape': [4], 'kind': 'float64', 'data': [1] * 4}).__code__",
        least=0.0,
    ),
    "input hooks": Attack(
        "ip = get_ipython()\nip.input_transformers_cleanup.append(lambda lines: [])\n"
        "ip.showtraceback = lambda *a, **k: None\nip.run_cell = lambda *a: None"
    ),
    "input()": Attack("answer = input('points? ')"),
    "pickle": Attack(
        'class P:\n    def __reduce__(self): return (exec, (\'open("/tmp/owned", "w")\',))\ndef cumulate(x): return P()'
    ),
    "nested": Attack("v = []\nfor _ in range(10**5): v = [v]\ndef cumulate(x): return v"),
    "a list that holds itself": Attack("v = []\nv.append(v)\ndef cumulate(x): return v"),
    "a huge integer": Attack("def cumulate(x): return 10 ** 100_000"),
    "not a number": Attack("def cumulate(x): return float('nan') * x"),
    "a huge array": Attack("import torch\ndef cumulate(x): return torch.zeros(10**7)"),
    "loop in a call": Attack("def cumulate(x):\n    while True: pass"),
    "exit in a call": Attack("import os\ndef cumulate(x): os._exit(0)"),
    "kills the driver in a call": Attack("import os\ndef cumulate(x): os.kill(os.getppid(), 9)"),
    "memory in a call": Attack("def cumulate(x): return bytearray(4 * 10**9)"),
    "raises an exception that raises": Attack(
        "class E(Exception):\n    def __str__(self): raise E\ndef cumulate(x): raise E"
    ),
    "deletes": Attack(
        "import shutil, glob\nfor p in ('@CANARY@', '/usr', '/work', '/root', '/home', '/autograder'):\n"
        "    shutil.rmtree(p, ignore_errors=True)"
    ),
    "writes outside": Attack("open('@CANARY@/canary.txt', 'w').write('gone')"),
    "symbolic links": Attack(
        "import os\nfor n in ('out.jsonl', 'results.json', 'calls.json', 'x'):\n"
        "    os.symlink('@CANARY@/canary.txt', n)\n    open(n, 'w').write('gone')"
    ),
    "reads the checks": Attack(
        "import glob\nfound = [p for f in ('/work', '/root', '/home', '/autograder', '@CANARY@')\n"
        "         for p in glob.glob(f + '/**/checks.py', recursive=True)]\n"
        "found += glob.glob('@CANARY@/*')\nassert not found\nimport course"
    ),
    "reads the book's answers": Attack(
        "try:\n    import aevb_utils.checking\nexcept ModuleNotFoundError:\n    pass\n"
        "else:\n    def cumulate(x): return x.cumsum(0)"
    ),
    "looks into other processes": Attack(
        "import os\nseen = {p for p in os.listdir('/proc') if p.isdigit()}\nassert len(seen) <= 3\n"
        "for p in seen:\n    try: print(os.listdir(f'/proc/{p}/root/work'))\n    except OSError: pass"
    ),
    "network": Attack(
        "import socket\ntry:\n    socket.create_connection(('127.0.0.1', @PORT@), 2)\nexcept OSError:\n    pass"
    ),
    "raises its limits": Attack(
        "import resource\nfor n in (resource.RLIMIT_AS, resource.RLIMIT_NPROC):\n"
        "    try: resource.setrlimit(n, (-1, -1))\n    except ValueError: continue\n    raise SystemError"
    ),
    "becomes root": Attack(
        "import os, ctypes\nc = ctypes.CDLL(None)\nc.mount(b'none', b'/usr', b'tmpfs', 0, 0)\n"
        "c.unshare(0x10000000)\nopen('/usr/owned', 'w')"
    ),
}
"""What each is called, and its code; ``@CANARY@`` is a folder outside, ``@PORT@`` a port that is open outside."""
