"""Files that are no good checkpoints, and states that no file can hold: one error, and nothing is changed."""

import copy
import json
import math
import os
import re

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from latent_models import Conjugate, data_of
from sentences import one_sentence
from systems import needs_pipes
from torch import nn
from torch.optim import Adam, lr_scheduler

from aevb_utils.training import fit, sealed_files
from aevb_utils.training.checkpoints import CheckpointError, load, load_weights, read_provenance, save
from aevb_utils.training.descriptions import describe

X = data_of(Conjugate(), 20)


def parts(seed):
    """A model after an epoch, with its optimizer and scheduler and the History."""
    model = Conjugate()
    optimizer = Adam(model.parameters(), lr=0.02)
    scheduler = lr_scheduler.SequentialLR(
        optimizer, [lr_scheduler.ConstantLR(optimizer), lr_scheduler.MultiStepLR(optimizer, [2, 4])], [3]
    )
    options = {"optimizer": optimizer, "scheduler": scheduler, "held_out": X[:3], "batch_size": 8}
    return model, optimizer, scheduler, fit(model, X, epochs=1, seed=seed, **options)


def plain(value):
    """A state that can be compared by ==: tensors as their bytes, dictionaries whatever their order."""
    match value:
        case torch.Tensor():
            return str(value.dtype), tuple(value.shape), value.tolist()
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case float() if math.isnan(value):
            return "nan"
    return type(value).__name__, value


def state_of(*objects):
    return [plain(part.state_dict()) for part in objects]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of a good checkpoint, its states, a path for damaged ones, and what they are to be loaded into."""
    path = tmp_path_factory.mktemp("damaged") / "run.safetensors"
    model, optimizer, scheduler, history = parts(1)
    save(path, model, optimizer, history, scheduler, provenance={"data": "X"})
    return path.read_bytes(), state_of(model, optimizer, scheduler, history), path, parts(2)[:3]


def outcome(whole, data):
    """What loading some bytes leads to: None where they are refused and all is as it was, else the loaded states."""
    _, _, path, others = whole
    path.write_bytes(data)
    before = copy.deepcopy([vars(others[1]), *(part.state_dict() for part in others)])
    states = state_of(*others)
    try:
        history = load(path, *others)
    except CheckpointError as error:
        one_sentence(error)
        assert state_of(*others) == states
        return None
    loaded = state_of(*others, history)
    for part, state in zip(others, before[1:], strict=True):
        part.load_state_dict(state)
    return loaded


@given(st.data())
def test_bytes_that_are_damaged_are_refused(whole, data):
    original = whole[0]
    damaged = bytearray(original)
    place = data.draw(st.integers(0, len(original) - 1))
    match data.draw(st.sampled_from(["altered", "cut", "inserted", "removed"])):
        case "altered":
            damaged[place] ^= data.draw(st.integers(1, 255))
        case "cut":
            del damaged[place:]
        case "inserted":
            damaged[place:place] = data.draw(st.binary(min_size=1, max_size=9))
        case "removed":
            del damaged[place : place + data.draw(st.integers(1, 9))]
    loaded = outcome(whole, bytes(damaged))
    assert loaded == (whole[1] if damaged == original else None)


# Headers that were altered and sealed anew: by another program, or by another version of torch


def content_of(data):
    """The header of safetensors and the JSON in it."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    return header, json.loads(header["__metadata__"]["aevb_checkpoint"])


def resealed(data, content, index=None):
    """The bytes with another content, and perhaps another index of the tensors, under a seal that is right."""
    length = int.from_bytes(data[:8], "little")
    header, _ = content_of(data)
    text = content if isinstance(content, str) else json.dumps({**content, "sha256": "0" * 64})
    index = {"__metadata__": {"aevb_checkpoint": text}} | (
        {name: entry for name, entry in header.items() if name != "__metadata__"} if index is None else index
    )
    encoded = json.dumps(index).encode()
    encoded += b" " * (-len(encoded) % 8)
    return sealed_files._sealed(len(encoded).to_bytes(8, "little") + encoded + data[8 + length :])


def places(value, above=()):
    """The way to each item of some JSON."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*above, key)
        yield from places(item, (*above, key))


def kind(value):
    """What a value of JSON is, for torch's settings: None stands for a number or a flag that torch chooses."""
    return "number or flag" if value is None or isinstance(value, bool | int | float) else type(value).__name__


ODD = [
    None,
    True,
    -1,
    1e300,
    "x",
    [],
    {},
    [[]],
    {"tensor": "model/W"},
    {"dict": []},
    {"dict": [["a", 1]]},
    {"tuple": 3},
]


@given(st.data())
def test_a_header_that_was_altered_is_refused_or_gives_the_same_state(whole, data):
    _, content = content_of(whole[0])
    *way, last = data.draw(st.sampled_from([place for place in places(content) if place != ("sha256",)]))
    parent = content
    for key in way:
        parent = parent[key]
    alike = False
    match data.draw(st.sampled_from(["replaced", "removed", "wrapped", "doubled", "renamed"])):
        case "replaced":
            before, parent[last] = parent[last], data.draw(st.sampled_from(ODD))
            alike = kind(before) == kind(parent[last])
        case "removed":
            del parent[last]
        case "wrapped":
            parent[last] = [parent[last]]
        case "doubled" if isinstance(parent, list):
            parent.insert(last, copy.deepcopy(parent[last]))
        case _ if isinstance(parent, dict):
            parent[f"{last}x"] = parent.pop(last)
        case _:
            before, parent[last] = parent[last], [last]
            alike = isinstance(before, list) and [*map(kind, before)] == [kind(last)]
    loaded = outcome(whole, resealed(whole[0], content))
    if loaded is not None and not alike:
        assert loaded == whole[1], (way, last)
    elif loaded is not None:  # another number in the place of one: which was right no file can say
        assert json.dumps(loaded).count("[") == json.dumps(whole[1]).count("[")


NONSENSE = {
    "empty": "{SEAL}",
    "a list": "[{SEAL}]",
    "no JSON": "{SEAL} null",
    "cut": "{SEAL",
    "brackets": "[{SEAL}, " + "[" * 100_000,
    "depth": "{SEAL, " + '"format": 1, "states": ' + '{"dict": [["a", ' * 5000 + "1" + "]]}" * 5000 + "}",
    "format alone": '{SEAL, "format": 1}',
    "format that is no number": '{SEAL, "format": []}',
    "NaN": '{SEAL, "format": NaN}',
    "infinite": '{SEAL, "format": 1e999}',
    "many digits": '{SEAL, "format": ' + "1" * 5000 + "}",
}


@pytest.mark.parametrize("content", NONSENSE)
def test_a_header_of_nonsense_is_refused(whole, content):
    whole[2].write_bytes(resealed(whole[0], NONSENSE[content].replace("SEAL", f'"sha256": "{"0" * 64}"')))
    for read in (lambda: load(whole[2], *whole[3]), lambda: read_provenance(whole[2])):
        with pytest.raises(CheckpointError, match="is not in the form of a checkpoint") as caught:
            read()
        one_sentence(caught.value)


@pytest.mark.parametrize("change", ["exchanged", "shape", "format", "missing", "more"])
def test_an_index_of_tensors_that_was_altered_is_refused(whole, change):
    header, content = content_of(whole[0])
    del header["__metadata__"]
    one, other = "optimizer/state/0/exp_avg", "optimizer/state/0/exp_avg_sq"
    match change:
        case "exchanged":
            states = json.dumps(content["states"]).replace(f'"{one}"', '"?"').replace(f'"{other}"', f'"{one}"')
            content["states"] = json.loads(states.replace('"?"', f'"{other}"'))
        case "shape":
            header[one]["shape"].reverse()
        case "format":
            header["model/W"]["dtype"] = "I64"
        case "missing":
            del header[one]
        case "more":
            header["none"] = {"dtype": "F64", "shape": [0], "data_offsets": header["model/W"]["data_offsets"][:1] * 2}
    assert outcome(whole, resealed(whole[0], content, header)) is None


def test_a_file_sealed_anew_without_a_change_is_loaded(whole):
    assert outcome(whole, resealed(whole[0], content_of(whole[0])[1])) == whole[1]


def test_a_state_that_is_refused_after_others_were_taken_leaves_all_as_it_was(whole, monkeypatch):
    model, optimizer, scheduler = whole[3]
    before, calls = state_of(*whole[3]), []

    def fail_at_first(scheduler, state):
        calls.append(state_of(model, optimizer) != before[:2])
        if len(calls) == 1:
            raise KeyError("last_epoch")

    monkeypatch.setattr(type(scheduler), "load_state_dict", fail_at_first)
    whole[2].write_bytes(whole[0])
    with pytest.raises(CheckpointError, match="could not be loaded to its end") as caught:
        load(whole[2], *whole[3])
    one_sentence(caught.value)
    assert calls[0], "the model and the optimizer had been changed"
    assert state_of(*whole[3]) == before


class ExtraState(nn.Linear):
    """A model with state of its own, which takes whole numbers alone."""

    def __init__(self, state):
        super().__init__(1, 1)
        self.kept = state

    def get_extra_state(self):
        return self.kept

    def set_extra_state(self, state):
        if state == "interrupt":
            raise KeyboardInterrupt
        self.kept = state if isinstance(state, dict) else int(state)


@pytest.mark.parametrize(("state", "error"), [("no number", CheckpointError), ("interrupt", KeyboardInterrupt)])
def test_a_model_that_refuses_its_state_is_as_it_was(tmp_path, state, error):
    path = tmp_path / "weights.safetensors"
    save(path, ExtraState(state))
    model = ExtraState(3)
    weight = model.weight.detach().clone()
    with pytest.raises(error):
        load_weights(path, model)
    assert torch.equal(model.weight, weight)
    assert model.kept == 3


# What is no file


@pytest.mark.parametrize(
    "make",
    [pytest.param(lambda path: os.mkfifo(path), id="pipe", marks=needs_pipes), pytest.param(os.mkdir, id="folder")],
)
def test_what_is_no_file_is_refused_at_once(tmp_path, make):
    path = tmp_path / "run.safetensors"
    make(path)
    for use, message in [
        (lambda: load_weights(path, nn.Linear(1, 1)), "There is no checkpoint to read at .*: it is a folder, a pipe"),
        (lambda: save(path, nn.Linear(1, 1)), "cannot be written: a folder, a pipe or a device is there"),
    ]:
        with pytest.raises(CheckpointError, match=message) as caught:
            use()
        one_sentence(caught.value)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_name_that_no_file_can_have_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"cannot be written: .*embedded null"):
        save(tmp_path / "a\0b", nn.Linear(1, 1))
    with pytest.raises(CheckpointError, match=r"There is no checkpoint to read at .*: .*embedded null"):
        load_weights(tmp_path / "a\0b", nn.Linear(1, 1))


def test_of_a_large_file_that_is_no_checkpoint_only_the_beginning_is_read(tmp_path):
    path = tmp_path / "large"
    for beginning in (0, 2**24, 2**63):
        with path.open("wb") as file:
            file.write(beginning.to_bytes(8, "little"))
            file.truncate(2**42)  # a hole, which takes no room on the disk
        with pytest.raises(CheckpointError, match="is not a checkpoint"):
            load_weights(path, nn.Linear(1, 1))


# States that no file can hold


def around_itself():
    state = [1]
    state.append(state)
    return state


def deep():
    state = 1
    for _ in range(5000):
        state = [state]
    return state


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"a": torch.ones(2, dtype=torch.complex128)}, "cannot hold numbers of the format torch.complex128, as model/"),
        ({"a": torch.eye(2).to_sparse()}, "model/_extra_state/a is sparse, quantized or on"),
        ({"a": torch.ones(2, device="meta")}, "is sparse, quantized or on"),
        (around_itself(), "a state holds itself, is nested too deeply"),
        (deep(), "a state holds itself, is nested too deeply"),
        ({"\ud800": torch.ones(1)}, "has a name or number that no file can hold"),
        (10**5000, "has a name or number that no file can hold"),
        ({1: torch.ones(1), "1": torch.zeros(1)}, "two are named model/_extra_state/1"),
    ],
    ids=["complex128", "sparse", "meta", "around itself", "deep", "surrogate", "huge", "twice"],
)
def test_a_state_that_no_file_can_hold_is_refused(tmp_path, state, message):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"before")
    with pytest.raises(CheckpointError, match=re.escape(message)) as caught:
        save(path, ExtraState(state))
    one_sentence(caught.value)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_list_that_is_too_long_for_the_header_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sealed_files, "LONGEST_HEADER", 4000)
    path = tmp_path / "weights.safetensors"
    save(path, ExtraState({"names": ["short"] * 50}))
    load_weights(path, ExtraState({}))
    with pytest.raises(CheckpointError, match=r"bytes that are no tensors, .* may have 4,000: keep long lists"):
        save(path, ExtraState({"names": ["long"] * 1000}))


@pytest.mark.filterwarnings("ignore:.*quantized:UserWarning")
def test_a_quantized_buffer_is_refused(tmp_path):
    model = nn.Linear(1, 1)
    model.register_buffer("low", torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8))
    with pytest.raises(CheckpointError, match="model/low is sparse, quantized or on"):
        save(tmp_path / "weights.safetensors", model)


def test_names_with_slashes_stay_apart(tmp_path):
    path = tmp_path / "weights.safetensors"
    state = {"a/b": torch.ones(2), "a": {"b": torch.zeros(2)}, "a~1b": torch.full((2,), 2.0), "~": {"/": 3}}
    model = ExtraState({})
    save(path, ExtraState(state))
    load_weights(path, model)
    assert plain(model.kept) == plain(state)


@pytest.mark.skipif(
    torch.complex64 not in safetensors.torch._SIZE, reason="This version of safetensors has no complex numbers."
)
def test_numbers_that_a_view_turns_are_saved_as_they_are(tmp_path):
    path = tmp_path / "weights.safetensors"
    value = torch.tensor([1 + 2j, 3 - 1j], dtype=torch.complex64)
    model, other = nn.Linear(1, 1), nn.Linear(1, 1)
    model.register_buffer("turned", value.conj())
    other.register_buffer("turned", torch.zeros_like(value))
    save(path, model)
    load_weights(path, other)
    assert other.turned.tolist() == [1 - 2j, 3 + 1j]


def test_a_setting_without_end_is_told_by_an_error(tmp_path):
    model = nn.Linear(1, 1)
    model.setting = around_itself()
    save(tmp_path / "weights.safetensors", model)
    model.setting = deep()
    with pytest.raises(CheckpointError, match="a setting of the model is nested too deeply"):
        save(tmp_path / "weights.safetensors", model)
    assert describe(nn.Linear(1, 1)) == {"class": "Linear", "in_features": 1, "out_features": 1}
