"""The environment: made once, filled from the locks, updated when they change, never taken for whole when it is not."""

import json
import os
import platform
import re
import shutil
import sys
import sysconfig
from pathlib import Path

import pytest
from sentences import one_sentence
from systems import needs_links

from tools import doctor, install, lock, torch_wheel
from tools.install import Environment, InstallError, Level, ensure
from tools.notebooks import ROOT
from tools.processes import Ended, alone

FILES = ("requirements.txt", "requirements-site.txt", "requirements.lock", "requirements-site.lock", "pyproject.toml")


class Installing:
    """Stands for pip and uv: notes what they are called with, and installs PyTorch as an empty entry."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.calls: list[list[str]] = []
        self.ends: list[Ended] = []  # of the next calls; then all goes well
        self.build = "2.13.0+cpu"

    def __call__(self, command, environment, folder) -> Ended:
        assert self.environment.python.exists()
        self.calls.append(list(map(str, command)))
        if self.ends and (ended := self.ends.pop(0)).status:
            return ended
        libraries = self.environment.folder / ("Lib" if os.name == "nt" else "lib/python3.11") / "site-packages"
        if "uninstall" in command:
            for entry in libraries.glob("torch-*.dist-info"):
                shutil.rmtree(entry)
        elif any(str(part).startswith("torch==") for part in command):
            entry = libraries / f"torch-{self.build}.dist-info"
            entry.mkdir(parents=True, exist_ok=True)
            (entry / "METADATA").write_text(f"Name: torch\nVersion: {self.build}\n", encoding="utf-8")
        return Ended(0, False)

    def said(self) -> list[str]:
        """What was done, in short, since it was last asked."""
        calls, self.calls = self.calls, []
        short = {"requirements-site.lock": "site", "requirements.lock": "whole", "torch==2.13.0": "torch", "-e": "book"}
        found = []
        for call in calls:
            names = {Path(part).name.replace("torch==2.14.0", "torch==2.13.0") for part in call}
            found.append(
                "remove torch" if "uninstall" in call else next(short[name] for name in short if name in names)
            )
        return found


@pytest.fixture
def book(tmp_path, monkeypatch) -> Environment:
    """A copy of what an environment is made of, on a Linux with pip and without uv, whose index of PyTorch answers."""
    for name in FILES:
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.delenv("TORCH_INDEX", raising=False)
    monkeypatch.setattr(torch_wheel, "SYSTEM", "linux")
    monkeypatch.setattr(torch_wheel, "_answers", lambda url: True)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(install, "_has_pip", lambda: True)
    monkeypatch.setattr(install, "_give_pip", lambda environment: None)
    return Environment(tmp_path)


@pytest.fixture
def pip(book, monkeypatch) -> Installing:
    installing = Installing(book)
    monkeypatch.setattr(install, "run", installing)
    return installing


def edit(book: Environment, name: str, old: str, new: str) -> None:
    path = book.root / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_the_site_needs_one_step_and_a_second_call_none(book, pip, capsys):
    assert ensure(Level.SITE, book) == book.python
    (call,) = pip.calls
    assert call[:6] == [sys.executable, "-m", "pip", "--python", str(book.python), "install"]
    assert {"--require-hashes", "--no-deps"} <= {*call}
    assert pip.said() == ["site"]
    assert capsys.readouterr().out == "Installing what building the site needs (about 60 MB) into .venv, with pip …\n"
    ensure(Level.SITE, book)
    assert pip.said() == []
    assert capsys.readouterr().out == ""


def test_the_whole_comes_on_top_of_the_site_and_holds_it(book, pip):
    ensure(Level.SITE, book)
    pip.said()
    for _ in range(2):
        assert not book.has(Level.WHOLE)
        ensure(Level.WHOLE, book)
        assert pip.said() == ["whole", "torch", "book"]
        assert book.has(Level.SITE)
        ensure(Level.WHOLE, book)
        ensure(Level.SITE, book)
        assert pip.said() == []
        shutil.rmtree(book.folder)


@pytest.mark.parametrize(
    ("name", "old", "new", "site", "whole"),
    [
        ("requirements.lock", "==", "==0", [], ["whole", "book"]),
        ("requirements-site.lock", "==", "==0", ["site"], ["whole", "book"]),
        ("pyproject.toml", 'version = "', 'version = "9', [], ["whole", "book"]),
        ("pyproject.toml", "line-length = 120", "line-length = 121", [], []),
        ("requirements.txt", "torch==2.13.0", "torch==2.13.1", [], None),
    ],
)
def test_a_change_of_what_is_asked_for_updates(book, pip, capsys, name, old, new, site, whole):
    ensure(Level.WHOLE, book)
    pip.said()
    edit(book, name, old, new)
    ensure(Level.SITE, book)
    assert pip.said() == site
    if whole is None:
        assert not book.has(Level.WHOLE)
    else:
        ensure(Level.WHOLE, book)
        assert pip.said() == whole
    assert "anew" not in capsys.readouterr().out


def test_another_version_of_torch_replaces_it(book, pip):
    ensure(Level.WHOLE, book)
    pip.said()
    libraries = next(book.folder.glob("[lL]ib/**/torch-*.dist-info"))
    (libraries / "METADATA").write_text("Name: torch\nVersion: 2.12.0+cpu\n", encoding="utf-8")
    edit(book, "requirements.lock", "==", "==0")
    ensure(Level.WHOLE, book)
    assert pip.said() == ["whole", "remove torch", "torch", "book"]


# PyTorch's index


def index_of(calls: list[list[str]]) -> str | None:
    (call,) = (call for call in calls if any(part.startswith("torch==") for part in call))
    return call[call.index("--extra-index-url") + 1] if "--extra-index-url" in call else None


def test_another_index_is_taken_once_and_remembered(book, pip, monkeypatch):
    ensure(Level.WHOLE, book)
    assert index_of(pip.calls) == torch_wheel.CPU_INDEX
    pip.said()
    monkeypatch.setenv("TORCH_INDEX", " https://example.org/cuda ")
    pip.build = "2.13.0+cu130"
    ensure(Level.WHOLE, book)
    assert index_of(pip.calls) == "https://example.org/cuda"
    assert pip.said() == ["whole", "remove torch", "torch", "book"]
    ensure(Level.WHOLE, book)
    monkeypatch.delenv("TORCH_INDEX")
    ensure(Level.WHOLE, book)
    assert pip.said() == []
    edit(book, "requirements.lock", "==", "==0")
    ensure(Level.WHOLE, book)
    assert pip.said() == ["whole", "book"]
    assert book.version_of("torch") == "2.13.0+cu130"
    edit(book, "requirements.txt", "torch==2.13.0", "torch==2.14.0")
    pip.build = "2.14.0+cu130"
    ensure(Level.WHOLE, book)
    assert index_of(pip.calls) == "https://example.org/cuda", "the named index is forgotten with a new version"
    pip.said()
    monkeypatch.setenv("TORCH_INDEX", "")
    ensure(Level.WHOLE, book)
    assert index_of(pip.calls) is None


def test_an_index_does_not_matter_to_the_site(book, pip, monkeypatch):
    ensure(Level.WHOLE, book)
    pip.said()
    monkeypatch.setenv("TORCH_INDEX", "https://example.org/cuda")
    ensure(Level.SITE, book)
    assert pip.said() == []


def test_an_index_that_does_not_answer_is_left_out(book, pip, monkeypatch, capsys):
    monkeypatch.setattr(torch_wheel, "_answers", lambda url: False)
    ensure(Level.WHOLE, book)
    assert index_of(pip.calls) is None
    assert "cannot be reached, so PyTorch comes from PyPI" in capsys.readouterr().out


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_other_systems_take_pypis_torch_and_ask_no_index(monkeypatch, system):
    monkeypatch.setattr(torch_wheel, "SYSTEM", system)
    monkeypatch.setattr(torch_wheel, "_answers", lambda url: pytest.fail("asked"))
    assert torch_wheel.usual_index() == torch_wheel.PYPI


def test_an_address_that_is_none_gets_a_sentence(book, pip, monkeypatch):
    monkeypatch.setenv("TORCH_INDEX", "cu130")
    with pytest.raises(InstallError, match="should be the address") as caught:
        ensure(Level.WHOLE, book)
    one_sentence(caught.value)
    assert not book.folder.exists()


def test_no_password_is_shown(book, pip, monkeypatch, capsys):
    monkeypatch.setenv("TORCH_INDEX", "https://me:s3cret@example.org/cuda")
    ensure(Level.WHOLE, book)
    assert index_of(pip.calls) == "https://me:s3cret@example.org/cuda"
    assert "s3cret" not in capsys.readouterr().out
    assert dict(doctor.variables())["TORCH_INDEX"] == "https://example.org/cuda"


def test_what_does_not_answer_is_unreachable(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    assert not torch_wheel._answers("http://127.0.0.1:9/torch/")


@pytest.mark.parametrize(
    ("system", "machine", "mac", "built_for", "says"),
    [
        ("darwin", "x86_64", "14.1", "macosx-14-x86_64", "Intel Macs"),
        ("darwin", "arm64", "13.6.1", "macosx-11-arm64", "macOS before 14"),
        ("win32", "ARM64", "", "win-arm64", "Windows on ARM"),
        ("darwin", "arm64", "14.0", "macosx-11-arm64", None),
        ("darwin", "arm64", "26.1", "macosx-11-universal2", None),
        ("win32", "ARM64", "", "win-amd64", None),
        ("linux", "aarch64", "", "linux-aarch64", None),
    ],
)
def test_where_there_is_no_torch_a_sentence_comes_before_any_download(
    book, pip, monkeypatch, system, machine, mac, built_for, says
):
    monkeypatch.setattr(torch_wheel, "SYSTEM", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "mac_ver", lambda: (mac, ("", "", ""), machine))
    monkeypatch.setattr(sysconfig, "get_platform", lambda: built_for)
    reason = torch_wheel.why_none(book.root)
    if says is None:
        assert reason is None
        return
    with pytest.raises(InstallError, match=says) as caught:
        ensure(Level.WHOLE, book)
    assert one_sentence(caught.value) == reason
    assert not book.folder.exists()
    ensure(Level.SITE, book)
    assert pip.said() == ["site"]


# What is not whole


@pytest.mark.parametrize("step", range(3))
def test_a_failure_is_a_sentence_and_the_next_call_goes_on(book, pip, capsys, step):
    pip.ends = [Ended(0, False)] * step + [Ended(1, False)]
    with pytest.raises(InstallError, match="pip could not install everything, and says why above") as caught:
        ensure(Level.WHOLE, book)
    one_sentence(caught.value)
    assert not book.has(Level.SITE)
    pip.said()
    ensure(Level.WHOLE, book)
    assert pip.said() == (["whole", "book"] if step == 2 else ["whole", "torch", "book"])
    assert book.has(Level.WHOLE)
    assert "anew" not in capsys.readouterr().out


@pytest.mark.parametrize("ended", [Ended(143, False), Ended(2, True)])
def test_what_was_stopped_is_made_anew(book, pip, capsys, ended):
    ensure(Level.WHOLE, book)
    left = book.folder / "left"
    left.touch()
    edit(book, "requirements.lock", "==", "==0")
    pip.ends = [ended]
    with pytest.raises(InstallError, match="was stopped") as caught:
        ensure(Level.WHOLE, book)
    one_sentence(caught.value)
    assert not book.has(Level.SITE)
    pip.said()
    ensure(Level.WHOLE, book)
    assert pip.said() == ["whole", "torch", "book"]
    assert not left.exists()
    assert ".venv was not finished: making it anew." in capsys.readouterr().out


def test_one_that_was_killed_is_made_anew(book, pip, monkeypatch):
    monkeypatch.setattr(install, "run", lambda *_: (_ for _ in ()).throw(SystemExit))  # nothing after it is run
    with pytest.raises(SystemExit):
        ensure(Level.SITE, book)
    assert book.fault() == "was not finished"


@pytest.mark.parametrize("lost", [False, True])
def test_one_that_another_command_made_is_left_alone(book, pip, lost):
    ensure(Level.SITE, book)
    pip.said()
    book.marker.unlink()
    if lost:
        book.python.unlink()
    with pytest.raises(InstallError, match="was made by another command: move it away or remove it") as caught:
        ensure(Level.SITE, book)
    one_sentence(caught.value)
    assert pip.said() == []
    assert (book.folder / "pyvenv.cfg").exists()


def test_one_whose_making_was_killed_is_made_anew(book, pip, monkeypatch, capsys):
    made = install.venv.create
    monkeypatch.setattr(install.venv, "create", lambda *_, **__: (_ for _ in ()).throw(SystemExit))
    with pytest.raises(SystemExit):
        ensure(Level.SITE, book)
    monkeypatch.setattr(install.venv, "create", made)
    ensure(Level.SITE, book)
    assert "making it anew." in capsys.readouterr().out
    assert book.has(Level.SITE)


def broken(book: Environment, how: str) -> None:
    match how:
        case "lost":
            book.python.unlink()
        case "base":
            text = (book.folder / "pyvenv.cfg").read_text(encoding="utf-8")
            home = str(book.root / "gone").replace("\\", "/")
            (book.folder / "pyvenv.cfg").write_text(re.sub("home = .*", f"home = {home}", text), encoding="utf-8")
        case "marker":
            book.marker.write_text("[", encoding="utf-8")
        case "dead":
            book.python.unlink()
            book.python.write_text("no program", encoding="utf-8")
            edit(book, "requirements-site.lock", "==", "==0")


@pytest.mark.parametrize("how", ["lost", "base", "marker", "dead"])
def test_a_broken_environment_is_made_anew(book, pip, capsys, how):
    ensure(Level.SITE, book)
    pip.said()
    capsys.readouterr()
    broken(book, how)
    ensure(Level.SITE, book)
    assert pip.said() == ["site"]
    assert "making it anew." in capsys.readouterr().out
    ensure(Level.SITE, book)
    assert pip.said() == []


def test_a_folder_that_was_moved_has_its_environment_made_anew(book, pip, tmp_path_factory, capsys, monkeypatch):
    ensure(Level.SITE, book)
    moved = Environment(tmp_path_factory.mktemp("moved") / "book")
    shutil.move(book.root, moved.root)
    installing = Installing(moved)
    monkeypatch.setattr(install, "run", installing)
    ensure(Level.SITE, moved)
    assert installing.said() == ["site"]
    assert f"was moved here from {book.folder}: making it anew." in capsys.readouterr().out


def test_what_is_no_environment_is_left_alone(book, pip):
    book.folder.mkdir()
    (book.folder / "mine").touch()
    with pytest.raises(InstallError, match="is no virtual environment") as caught:
        ensure(Level.SITE, book)
    one_sentence(caught.value)
    assert (book.folder / "mine").exists()


@needs_links
def test_what_a_link_leads_to_is_used_and_never_removed(book, pip, tmp_path_factory):
    other = Environment(tmp_path_factory.mktemp("other"))
    ensure(Level.SITE, book)
    pip.said()
    for name in FILES:
        shutil.copy(ROOT / name, other.root)
    other.folder.symlink_to(book.folder)
    ensure(Level.SITE, other)
    assert pip.said() == []
    book.marker.unlink()
    with pytest.raises(InstallError, match="is a link: remove it") as caught:
        ensure(Level.SITE, other)
    one_sentence(caught.value)
    assert book.python.exists()


def test_two_do_not_install_at_once(book, pip):
    with alone(book.root / ".venv.lock"), pytest.raises(InstallError, match="Another command is installing") as caught:
        ensure(Level.SITE, book)
    one_sentence(caught.value)
    assert pip.said() == []
    ensure(Level.SITE, book)
    assert pip.said() == ["site"]


# What installs


def test_uv_is_taken_where_it_is(book, pip, monkeypatch, capsys):
    monkeypatch.setattr(shutil, "which", lambda name: "/bin/uv" if name == "uv" else None)
    ensure(Level.WHOLE, book)
    assert {tuple(call[:5]) for call in pip.calls} == {("/bin/uv", "pip", "install", "--python", str(book.python))}
    (torch,) = (call for call in pip.calls if "torch==2.13.0" in call)
    assert torch[-2:] == ["--index", torch_wheel.CPU_INDEX]
    assert "with uv …" in capsys.readouterr().out


def test_without_a_pip_of_ones_own_the_environments_is_taken(book, pip, monkeypatch):
    made = []
    monkeypatch.setattr(install, "_has_pip", lambda: False)
    create = install.venv.create
    monkeypatch.setattr(install.venv, "create", lambda *a, with_pip, **k: made.append(with_pip) or create(*a, **k))
    ensure(Level.SITE, book)
    assert made == [True]
    assert pip.calls[0][:4] == [str(book.python), "-m", "pip", "install"]


def test_an_environment_without_pip_is_given_one_where_it_is_needed(book, pip, monkeypatch):
    given = []
    monkeypatch.setattr(install, "_give_pip", given.append)
    ensure(Level.SITE, book)
    assert given == []
    monkeypatch.setattr(install, "_has_pip", lambda: False)
    edit(book, "requirements-site.lock", "==", "==0")
    ensure(Level.SITE, book)
    assert given == [book]


def test_without_pip_and_ensurepip_a_sentence_says_what_to_install(book, pip, monkeypatch):
    monkeypatch.setattr(install, "_has_pip", lambda: False)
    monkeypatch.setattr(install.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InstallError, match="apt-get install python3-venv") as caught:
        ensure(Level.SITE, book)
    one_sentence(caught.value)
    assert not book.folder.exists()
    (book.folder / "lib").mkdir(parents=True)
    (book.folder / "pyvenv.cfg").touch()
    with pytest.raises(InstallError):
        ensure(Level.SITE, book)
    assert (book.folder / "lib").exists()  # what cannot be made anew is not removed


@pytest.mark.parametrize(("version", "enough"), [("22.2.2", False), ("22.3", True), ("23.0.1", True), ("26.0b1", True)])
def test_a_pip_must_be_able_to_install_elsewhere(monkeypatch, version, enough):
    monkeypatch.setattr(install.importlib.metadata, "version", lambda name: version)
    assert install._has_pip() == enough


def test_the_version_of_python_is_named_where_it_may_be_the_cause(book, pip, monkeypatch):
    monkeypatch.setattr(install, "NEWEST", (3, 10))
    pip.ends = [Ended(1, False)]
    with pytest.raises(InstallError, match=r"made for Python 3\.11 to 3\.10, and this is"):
        ensure(Level.SITE, book)


def test_a_note_is_written_whole(book, pip):
    ensure(Level.SITE, book)
    assert set(json.loads(book.marker.read_text(encoding="utf-8"))) == {"folder", "site"}
    assert [path.name for path in book.folder.iterdir() if "partial" in path.name] == []


# The locks


def pins(name: str) -> dict[str, str]:
    """The versions that a file of requirements asks for, those of the files that it includes too."""
    found = {}
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        if line.startswith("-r "):
            found |= pins(line[3:])
        elif "==" in line:
            package, version = line.split("==")
            found[normal(package)] = version
    return found


def normal(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


def entries(name: str) -> list[str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return [entry for entry in re.split(r"^(?=\S)", text, flags=re.MULTILINE) if entry and not entry.startswith("#")]


def locked(name: str) -> dict[str, set[str]]:
    """The versions of each package in a lock: more than one where they depend on the Python."""
    found: dict[str, set[str]] = {}
    for entry in entries(name):
        package, version = entry.split()[0].split("==")
        found.setdefault(normal(package), set()).add(version)
    return found


@pytest.mark.parametrize("level", ["requirements-site", "requirements"])
def test_every_pin_is_locked(level):
    asked, found = pins(f"{level}.txt"), locked(f"{level}.lock")
    assert len(asked) > 10
    for package, version in asked.items():
        assert package == "torch" or found[package] == {version}, f"{package}: run python -m tools lock"


@pytest.mark.parametrize("name", ["requirements-site.lock", "requirements.lock"])
def test_every_package_is_locked_by_hashes_and_torch_is_none_of_them(name):
    for entry in entries(name):
        assert re.match(r"[\w.-]+==[\w.]+( ; [^\\\n]+)?( \\\n    --hash=sha256:[0-9a-f]{64})+\n$", entry), entry
    assert not any(re.match("torch$|nvidia|cuda|triton|aevb", package) for package in locked(name))


def test_the_site_is_a_part_of_the_whole_and_holds_nothing_to_run_notebooks_with():
    site, whole = locked("requirements-site.lock"), locked("requirements.lock")
    assert {package: versions for package, versions in site.items() if not versions <= whole[package]} == {}
    assert not {"numpy", "jupyterlab", "notebook", "pytest"} & {*site}


def test_what_torch_needs_is_locked():
    needed = {"filelock", "typing-extensions", "setuptools", "sympy", "networkx", "jinja2", "fsspec"}
    assert needed <= {*locked("requirements.lock")}


UNLOCKED = """\
-e .
aevb-utils @ file:///book \\
    --hash=sha256:00
cuda-toolkit==13.0 \\
    --hash=sha256:00
nvidia-cublas==13.1 ; sys_platform == 'linux' \\
    --hash=sha256:00
pytorch-lightning==2.0 \\
    --hash=sha256:01
torch==2.13.0 \\
    --hash=sha256:00
torchlike==1.0 \\
    --hash=sha256:02
triton==3.7.1 \\
    --hash=sha256:00
"""


def test_torch_and_its_cuda_are_left_out_of_a_lock():
    kept = re.findall(r"^\S+", lock.without_torch(UNLOCKED), re.MULTILINE)
    assert kept == ["pytorch-lightning==2.0", "torchlike==1.0"]


def test_locking_without_uv_is_a_sentence(monkeypatch, capsys):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert lock.main(ROOT) == 1
    one_sentence(capsys.readouterr().err.removesuffix("\n"))


def test_a_lock_that_fails_leaves_the_locks_as_they_were(tmp_path, monkeypatch, capsys):
    answers = iter(["a==1 \\\n    --hash=sha256:00\n"])

    def compiled(uv, root, *arguments):
        try:
            return next(answers)
        except StopIteration:
            raise RuntimeError("it is unreachable") from None

    monkeypatch.setattr(shutil, "which", lambda name: "uv")
    monkeypatch.setattr(lock, "compiled", compiled)
    for name in ("requirements.lock", "requirements-site.lock"):
        (tmp_path / name).write_text("old", encoding="utf-8")
    assert lock.main(tmp_path) == 1
    assert "it is unreachable" in capsys.readouterr().err
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == {
        "requirements.lock": "old",
        "requirements-site.lock": "old",
    }
