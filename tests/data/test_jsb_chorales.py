"""The chorales: the strict parser of their file, padding and lengths, and what stands in where there are none."""

import hashlib
import json
import os
from importlib import import_module

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sentences import one_sentence

from aevb_utils import budget
from aevb_utils.data import LOWEST, jsb_chorales, transpose
from aevb_utils.data.download import DataError, RemoteFile

module = import_module("aevb_utils.data.jsb_chorales")
DATA_DIR = os.environ.get("AEVB_DATA_DIR")


def pieces():
    """As many sequences as the file has, of one to three steps."""
    step = [60, 64, 67]
    return {part: [[step] * (1 + i % 3) for i in range(n)] for part, n in module._SIZES.items()}


@pytest.fixture
def small_file(monkeypatch, tmp_path):
    """Write a file of the published format in a full run's data folder."""

    def write(content):
        raw = json.dumps(content).encode()
        file = RemoteFile("jsb-chorales/small.json", module._FILE.urls, hashlib.sha256(raw).hexdigest(), len(raw))
        path = tmp_path / file.path
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(raw)
        monkeypatch.setattr(module, "_FILE", file)

    monkeypatch.setattr(budget, "FAST", False)
    monkeypatch.setenv("AEVB_DATA_DIR", str(tmp_path))
    return write


def test_file_is_read_as_padded_rolls(small_file):
    content = pieces()
    content["train"][1] = [[21, 108], [], [60]]
    small_file(content)
    data = jsb_chorales()
    assert not data.fallback
    assert (len(data.train), len(data.valid), len(data.test)) == (229, 76, 77)
    assert data.train.shape == (229, 3, 88)
    assert data.train_lengths[:3].tolist() == [1, 3, 3]
    assert data.train[1].nonzero().tolist() == [[0, 0], [0, 87], [2, 60 - LOWEST]]
    assert not data.train[0, 1:].any()
    assert "train (229, 3, 88) with 458 steps, valid (76, 3, 88)" in repr(data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.pop("valid"), "should be JSON with lists"),
        (lambda content: content["test"].pop(), "but holds 229, 76, 76 sequences; get"),
        (lambda content: content["train"][0].append([20]), "and the number 20; get"),
        (lambda content: content["train"][0].append([60.5]), "and the number 60.5; get"),
        (lambda content: content["train"].__setitem__(0, []), "should hold 229, 76, 77 sequences"),
        (lambda content: content["train"][0].append([True]), "and the number True; get"),
        (lambda content: content["train"][0].append(["60"]), "and the number '60'; get"),
        (lambda content: content["train"][0].append([None]), "and the number None; get"),
        (lambda content: content["train"][0].append([[60]]), "should be JSON with lists"),
        (lambda content: content["train"][0].append(""), "should be JSON with lists"),
        (lambda content: content["train"][0].append({}), "should be JSON with lists"),
        (lambda content: content["train"][0].append({"60": 1}), "should be JSON with lists"),
        (lambda content: content["train"].__setitem__(0, {"0": [60]}), "should be JSON with lists"),
        (lambda content: content["train"].__setitem__(0, "a piece"), "should be JSON with lists"),
        (
            lambda content: content.__setitem__("valid", {str(i): [[60]] for i in range(76)}),
            "should be JSON with lists",
        ),
    ],
)
def test_other_content_gets_a_sentence(small_file, change, message):
    content = pieces()
    change(content)
    small_file(content)
    with pytest.raises(DataError, match=message) as caught:
        jsb_chorales()
    one_sentence(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"[", b"[" * 100_000, b"[]", b"null", b"\xff", b'{"train": 1, "valid": 1}', b"NaN"]
)
def test_what_is_no_such_json_gets_a_sentence(content):
    with pytest.raises(DataError, match="should be JSON with lists of MIDI numbers") as caught:
        module._parse(content)
    one_sentence(caught.value)


RIGHT = json.dumps(pieces()).encode()


@given(st.data())
def test_damaged_json_gives_sequences_of_notes_or_a_sentence(data):
    raw = bytearray(RIGHT)
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(raw)))
        end = data.draw(st.sampled_from([start, start + 1, start + 9, len(raw)]))
        raw[start:end] = data.draw(st.binary(max_size=3) | st.sampled_from([b"[]", b"{}", b'""', b"1e3", b"[[", b"61"]))
    try:
        parts = module._parse(bytes(raw))
    except DataError as error:
        one_sentence(error)
    else:
        for part, size in module._SIZES.items():
            rolls, lengths = module._as_tensors(parts[part])
            assert len(rolls) == len(lengths) == size
            assert lengths.min() >= 1
            assert rolls.sum() == sum(len(set(step)) for piece in parts[part] for step in piece)


def test_stand_in_has_the_format(monkeypatch):
    monkeypatch.setattr(budget, "FAST", True)
    data, again = jsb_chorales(), jsb_chorales()
    assert data.fallback
    assert torch.equal(data.train, again.train)
    for rolls, lengths in (
        (data.train, data.train_lengths), (data.valid, data.valid_lengths), (data.test, data.test_lengths),
    ):  # fmt: skip
        assert rolls.shape == (len(lengths), int(lengths.max()), 88)
        inside = torch.arange(rolls.shape[1]) < lengths[:, None]
        assert torch.equal(rolls.sum(dim=2) > 0, inside)
        assert set(rolls.unique().tolist()) == {0.0, 1.0}


def test_each_sequence_is_transposed_by_its_own_number():
    rolls = torch.zeros(2, 3, 88)
    rolls[0, 0, 5] = rolls[0, 2, 80] = rolls[1, 1, 40] = 1
    moved = transpose(rolls, torch.tensor([-5, 6]))
    assert moved.nonzero().tolist() == [[0, 0, 0], [0, 2, 75], [1, 1, 46]]
    with pytest.raises(ValueError, match="leave the piano"):
        transpose(rolls, torch.tensor([-6, 0]))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_a_key_that_leaves_is_seen_among_many_in_half_precision(kind):
    rolls = torch.ones(20, 50, 88)
    rolls[:, :, 80:] = 0
    rolls[0, 0, 87] = 1
    with pytest.raises(ValueError, match="leave the piano"):
        transpose(rolls.to(kind), torch.ones(20, dtype=torch.int64))


def test_probabilities_are_moved_whatever_their_sum_rounds_to():
    rolls = torch.zeros(20, 50, 88)
    rolls[:, :, 20:60] = torch.rand(20, 50, 40, generator=torch.Generator().manual_seed(0))
    moved = transpose(rolls, torch.arange(-9, 11))
    for row, semitones in enumerate(range(-9, 11)):
        assert torch.equal(moved[row, :, 20 + semitones : 60 + semitones], rolls[row, :, 20:60])


def test_transposition_keeps_the_type_and_refuses_what_would_broadcast():
    rolls = torch.zeros(2, 3, 88)
    rolls[:, :, 40] = 1
    for kind in (torch.float64, torch.uint8, torch.bool):
        moved = transpose(rolls.to(kind), torch.tensor([-1, 1], dtype=torch.int8))
        assert moved.dtype == kind
        assert moved.nonzero()[:, 2].tolist() == [39, 39, 39, 41, 41, 41]
    for other, semitones in (
        (rolls, torch.tensor([1])), (rolls, torch.tensor(1)), (rolls, torch.tensor([[1], [1]])),
        (rolls[0], torch.tensor([1, 1, 1])), (rolls[..., :80], torch.tensor([1, 1])),
        (rolls, torch.tensor([0.5, 0.5])), (rolls, torch.tensor([True, False])),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="semitones must") as caught:
            transpose(other, semitones)
        one_sentence(caught.value)


@pytest.mark.skipif(DATA_DIR is None, reason="needs the real file: set AEVB_DATA_DIR")
def test_real_chorales(monkeypatch):
    monkeypatch.setattr(budget, "FAST", False)
    data = jsb_chorales()
    sums = [lengths.sum().item() for lengths in (data.train_lengths, data.valid_lengths, data.test_lengths)]
    assert sums == [13_807, 4_602, 4_725]
    keys = data.train.sum(dim=(0, 1)).nonzero() + LOWEST
    assert (keys.min().item(), keys.max().item()) == (43, 96)
