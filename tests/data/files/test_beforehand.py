"""``python -m aevb_utils.data``: fetching the data sets beforehand, and looking what is there."""

import pytest
from geyser_server import CSV, Server, serve_geyser
from sentences import one_sentence

from aevb_utils.data import __main__ as beforehand
from aevb_utils.data.download import RemoteFile


@pytest.fixture
def sets(monkeypatch, server):
    """Three small sets on a server: one of a file, one of two, and one that no chapter uses."""
    serve_geyser(monkeypatch, server.gives("/geyser.csv", CSV))
    geyser = beforehand.sets(everything=False)["Old Faithful"]
    same = [
        RemoteFile(f"two/{name}", (server.gives(f"/{name}", CSV),), geyser[0].sha256, len(CSV)) for name in ("a", "b")
    ]
    spare = [RemoteFile("spare/c", (server.gives("/c", CSV),), geyser[0].sha256, len(CSV))]
    used = {"Old Faithful": geyser, "Two": same}
    monkeypatch.setattr(beforehand, "sets", lambda *, everything: used | {"Spare": spare} if everything else dict(used))


def lines(capsys) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_looking_fetches_nothing(sets, server: Server, cache, capsys):
    assert beforehand.main(["--look", "--all"]) == 0
    said = lines(capsys)
    assert [line.split(":")[0] for line in said] == ["Old Faithful", "Two", "Spare"]
    for line in said:
        assert "is not here; python -m aevb_utils.data (in a clone: python -m tools data)" in one_sentence(line)
    assert said[2].endswith("with --all.")
    assert server.asked == []
    assert not cache.exists()


def test_what_is_fetched_lies_where_it_says_and_is_fetched_once(sets, server: Server, cache, capsys):
    assert beforehand.main([]) == 0
    size = f"{len(CSV) / 1e6:.3g} MB"
    said = lines(capsys)
    assert said == [
        f"Old Faithful: {size}, {cache / 'geyser.csv'}",
        f"Two: {2 * len(CSV) / 1e6:.3g} MB, {cache / 'two'}",
    ]
    assert sorted(server.asked) == ["/a", "/b", "/geyser.csv"]
    assert beforehand.main([]) == 0
    assert beforehand.main(["--look"]) == 0
    assert lines(capsys) == said * 2
    assert len(server.asked) == 3


def test_a_set_that_is_there_in_part_is_told_so(sets, cache, capsys):
    (cache / "two").mkdir(parents=True)
    (cache / "two" / "a").write_bytes(CSV)
    (cache / "two" / "b").write_bytes(CSV[:-1])
    assert beforehand.main(["--look"]) == 0
    assert "Two: 1 of 2 files are here" in lines(capsys)[1]


def test_a_users_own_copy_is_named(sets, server: Server, tmp_path, monkeypatch, capsys):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "geyser.csv").write_bytes(CSV)
    monkeypatch.setenv("AEVB_DATA_DIR", str(tmp_path / "own"))
    assert beforehand.main([]) == 0
    assert lines(capsys)[0].endswith(str(tmp_path / "own" / "geyser.csv"))
    assert "/geyser.csv" not in server.asked


@pytest.mark.parametrize("arguments", [[], ["--look"]])
def test_a_wrong_copy_is_one_line_and_an_error_and_the_others_follow(sets, tmp_path, monkeypatch, capsys, arguments):
    (tmp_path / "geyser.csv").write_bytes(CSV + b"1")
    monkeypatch.setenv("AEVB_DATA_DIR", str(tmp_path))
    assert beforehand.main(arguments) == 1
    said = lines(capsys)
    assert "replace it with a fresh copy" in one_sentence(said[0])
    assert said[1].startswith("Two: ")
    assert len(said) == 2


def test_a_set_that_cannot_be_had_is_one_line_and_an_error(sets, server: Server, capsys):
    del server.answers["/b"]
    assert beforehand.main(["--all"]) == 1
    said = lines(capsys)
    assert "answered with status 404" in one_sentence(said[1])
    assert said[2].startswith("Spare: 0.0")


def test_the_sets_are_those_that_are_downloaded():
    assert list(beforehand.sets(everything=False)) == ["Old Faithful", "MNIST", "JSB chorales"]
    all_sets = beforehand.sets(everything=True)
    assert list(all_sets)[3:] == ["Fashion-MNIST", "Kuzushiji-MNIST"]
    assert [len(files) for files in all_sets.values()] == [1, 4, 1, 4, 4]
