"""Bach's chorales as sequences of chords: binary piano rolls of different lengths."""

import json
from collections.abc import Sequence

import torch
from torch import Tensor

from aevb_utils.budget import budget
from aevb_utils.data.dataset import Dataset, on_cpu
from aevb_utils.data.download import DataError, DataUnavailableError, RemoteFile, fetch, report_fallback

LOWEST, PITCHES = 21, 88
"""The MIDI number of the first column, the lowest key of a piano, and the number of columns, one a key."""

_FILE = RemoteFile(
    path="jsb-chorales/jsb-chorales-quarter.json",
    urls=(
        "https://raw.githubusercontent.com/czhuang/JSB-Chorales-dataset/"
        "9a7f733ddb4ed91f48da64ac7f0f621c34aadd4d/jsb-chorales-quarter.json",
    ),
    sha256="2db9329f1881a1d3f49703ec556bf1d6f84b4f6c1d702c156536e93cf31e1c91",
    size=407_200,
)
_SIZES = {"train": 229, "valid": 76, "test": 77}
Notes = Sequence[Sequence[Sequence[int]]]  # sequences of steps of MIDI numbers


@on_cpu
def jsb_chorales() -> Dataset:
    """Bach's chorales in quarter notes, 229 to fit, 76 to choose by, 77 to report (Boulanger-Lewandowski et al., 2012).

    A step is a quarter note, a row its 88 piano keys, MIDI 21 to 108. A key that is held on and one that is struck
    again look the same. The fast run gets simulated chord sequences; a full run that cannot have the real file prints
    one line that says so and gets them too.

    Raises:
        DataError: If ``AEVB_DATA_DIR`` is not a folder, or its file is not the published one; with
            ``AEVB_REAL_DATA=1`` also if the file cannot be had.
    """
    fallback = budget(full=False, fast=True)
    if not fallback:
        try:
            parts = _parse(fetch(_FILE))
        except DataUnavailableError as error:
            report_fallback(error, instead="simulated chord sequences")
            fallback = True
    if fallback:
        parts = _simulate()
    tensors = {part: _as_tensors(notes) for part, notes in parts.items()}
    real = "Bach's chorales, the split of Boulanger-Lewandowski, Bengio and Vincent (2012), from C. Huang's JSON file."
    return Dataset(
        name="Simulated chords" if fallback else "JSB chorales",
        **{part: rolls for part, (rolls, _) in tensors.items()},
        **{f"{part}_lengths": lengths for part, (_, lengths) in tensors.items()},
        values="a piano key, 1 where it sounds",
        source="Simulated with a fixed seed: triads of a major key." if fallback else real,
        fallback=fallback,
    )


def transpose(rolls: Tensor, semitones: Tensor) -> Tensor:
    """Move each sequence by a number of semitones of its own, up if positive.

    Args:
        rolls: piano rolls, shape (N, T, 88).
        semitones: whole numbers, shape (N,).

    Raises:
        ValueError: If the shapes are others, a number is not whole, or a key that sounds would leave the piano.
    """
    if rolls.ndim != 3 or rolls.shape[2] != PITCHES or semitones.shape != rolls.shape[:1]:
        raise ValueError(
            f"rolls and semitones must have the shapes (N, T, {PITCHES}) and (N,), "
            f"but they have {tuple(rolls.shape)} and {tuple(semitones.shape)}."
        )
    if semitones.is_floating_point() or semitones.dtype == torch.bool:
        raise ValueError(f"semitones must be whole numbers, such as int64, but they are {semitones.dtype}.")
    source = torch.arange(PITCHES, device=rolls.device) - semitones[:, None]  # which key comes to each place, (N, 88)
    inside = (source >= 0) & (source < PITCHES)
    moved = rolls.gather(2, source.clamp(0, PITCHES - 1)[:, None].expand_as(rolls)) * inside[:, None]
    target = torch.arange(PITCHES, device=rolls.device) + semitones[:, None]  # where each key goes, (N, 88)
    leaves = (target < 0) | (target >= PITCHES)
    if (rolls.ne(0).any(dim=1) & leaves).any():
        raise ValueError("A key would leave the piano's 88: transpose by fewer semitones.")
    return moved


def _parse(content: bytes) -> dict[str, Notes]:
    """Read the JSON file: for each part sequences of steps of MIDI numbers. A step without notes is a rest."""
    try:
        parts = json.loads(content)
        pieces = {part: _checked(parts[part]) for part in _SIZES}
        kinds = {(type(note), note) for part in pieces.values() for piece in part for step in piece for note in step}
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DataError(
            "The file of chorales should be JSON with lists of MIDI numbers under 'train', 'valid' and 'test', but is "
            "not; get a fresh copy of it."
        ) from error
    wrong = [note for kind, note in kinds if kind is not int or not LOWEST <= note < LOWEST + PITCHES]
    sizes = {part: len(part_pieces) for part, part_pieces in pieces.items()}
    if sizes != _SIZES or wrong or not all(piece for part in pieces.values() for piece in part):
        raise DataError(
            f"The file of chorales should hold {', '.join(map(str, _SIZES.values()))} sequences of MIDI numbers from "
            f"{LOWEST} to {LOWEST + PITCHES - 1}, but holds {', '.join(map(str, sizes.values()))} sequences"
            f"{f' and the number {repr(wrong[0])[:40]}' if wrong else ''}; get a fresh copy of it."
        )
    return pieces


def _checked(pieces: Notes) -> Notes:
    """The sequences of one part, if they are lists of lists of lists: text and dicts can be run through, too."""
    if not all(isinstance(part, list) for part in (pieces, *pieces, *(step for piece in pieces for step in piece))):
        raise TypeError("not lists of lists of lists")
    return pieces


def _as_tensors(pieces: Notes) -> tuple[Tensor, Tensor]:
    """Piano rolls, (N, T, 88), with zeros behind the ends, and the lengths, (N,)."""
    lengths = torch.tensor([len(piece) for piece in pieces], dtype=torch.int64)
    rolls = torch.zeros(len(pieces), int(lengths.max()), PITCHES, dtype=torch.float32)
    for i, piece in enumerate(pieces):
        for t, step in enumerate(piece):
            rolls[i, t, [pitch - LOWEST for pitch in step]] = 1.0
    return rolls, lengths


_DEGREES = {0: (3, 4, 5), 3: (0, 4), 4: (0, 5), 5: (1, 3), 1: (4, 4)}  # which chords follow which, on the scale's steps
_SCALE = (0, 2, 4, 5, 7, 9, 11)


def _simulate() -> dict[str, Notes]:
    """Short pieces: a random key, and triads that follow each other by simple rules, with a bass an octave below."""
    draw = torch.Generator().manual_seed(0)

    def integer(low: int, high: int) -> int:
        return int(torch.randint(low, high, (), generator=draw))

    def piece() -> list[list[int]]:
        key, degree, steps = integer(48, 60), 0, []
        for _ in range(integer(6, 17)):
            tones = [_SCALE[(degree + third) % 7] + 12 * ((degree + third) // 7) for third in (0, 2, 4)]
            steps.append([key + tones[0] - 12, *(key + tone for tone in tones)])
            followers = _DEGREES[degree]
            degree = followers[integer(0, len(followers))]
        return steps

    return {part: [piece() for _ in range(n)] for part, n in (("train", 60), ("valid", 20), ("test", 20))}
