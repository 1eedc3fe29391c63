"""How a command ends: its foreseen errors in a sentence, and on any console."""

import io
import sys

import pytest
from sentences import one_sentence

from aevb_utils.results.json_files import BrokenFileError
from tools import execute, experiments
from tools.commands import command
from tools.fast_run import fingerprint

ENCODINGS = ["cp1252", "ascii", "cp437", "gbk"]


def shown(encoding, main, *arguments):
    """The exit status of a command on a console of few characters, and what it prints to stdout and to stderr."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True) for _ in range(2)]
    with pytest.MonkeyPatch.context() as patch:
        for name, stream in zip(("stdout", "stderr"), streams, strict=True):
            patch.setattr(sys, name, stream)
        status = main(*arguments)
    return status, *(stream.buffer.getvalue().decode(encoding) for stream in streams)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_a_console_lacks_is_a_question_mark(encoding):
    @command
    def main():
        print("✓ a → b 中文 …")
        print("∮ \U0001f600 wrong", file=sys.stderr)
        return 0

    status, out, err = shown(encoding, main)
    assert status == 0
    assert " a " in out
    assert err.endswith(" ? wrong\n")
    if encoding == "ascii":
        assert out == "? a ? b ?? ?\n"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_notebook_with_any_name_is_named_on_any_console(encoding, tmp_path):
    path = tmp_path / "01_中文_ü.ipynb"
    path.write_text("[]", encoding="utf-8")
    status, out, err = shown(encoding, execute.main, [path])
    assert status == 1
    assert out.startswith("Executing 01_")
    assert "was left as it was" in err


def test_a_fast_run_does_not_depend_on_the_console(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    script = tmp_path / "printing.py"
    script.write_text("def main():\n    print('✓ done')\n    return {'value': 1}\n", encoding="utf-8")
    assert fingerprint(script) == [["figures 1: /value", "float64", 1.0]]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (BrokenFileError("a.json is broken: put it back."), "a.json is broken: put it back."),
        (OSError(28, "No space left on device", "a.py"), "a.py cannot be read or written: No space left on device."),
        (OSError("it is gone"), "A file cannot be read or written: it is gone."),
    ],
)
def test_a_foreseen_error_is_one_sentence(capsys, error, said):
    @command
    def main():
        raise error

    assert main() == 1
    assert one_sentence(capsys.readouterr().err.removesuffix("\n")) == said


def test_a_mistake_in_the_code_is_no_foreseen_error():
    @command
    def main():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        main()


def test_an_unknown_name_is_wrong_use(capsys):
    assert experiments.main(["--one"]) == 2
    one_sentence(capsys.readouterr().err.strip())
