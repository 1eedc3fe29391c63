"""The file of a checkpoint: states as JSON and tensors in safetensors, sealed by the SHA-256 of all its bytes."""

import hashlib
import json
import math
import re
import stat
from collections import Counter
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from aevb_utils.training.atomic_write import write_atomically

FORMAT = 1
"""The layout of the file that this version writes and reads."""

LONGEST_HEADER = 2**23
"""Bytes: all of a file but the tensors' numbers, which is parsed at once and takes some ten times that memory."""

_KEY = "aevb_checkpoint"  # the one entry of the safetensors header: all that is not a tensor, as JSON
_SEAL = re.compile(rb'\\"sha256\\": \\"([0-9a-f]{64})\\"')  # its first item: the SHA-256 of the file with zeros here
_ZEROS = "0" * 64
_MALFORMED = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, SafetensorError)

Json = dict[str, Any]


class CheckpointError(RuntimeError):
    """A checkpoint cannot be written, or cannot be used; nothing was changed."""


def write_sealed(path: Path, content: Json, states: Json) -> None:
    """Write states and what is said about them, whole or not at all.

    Raises:
        CheckpointError: the file cannot be written, or a state holds something that is neither a tensor nor JSON.
    """
    tensors: dict[str, Tensor] = {}
    try:
        packed = {name: _pack(state, name, tensors) for name, state in states.items()}
        header = {"sha256": _ZEROS, "format": FORMAT} | content | {"states": packed}
        data = safetensors.torch.save(tensors, {_KEY: json.dumps(header, allow_nan=False)})
    except (*_MALFORMED, RuntimeError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(
            f"{path} cannot be written: a state holds itself, is nested too deeply, or has a name or number that no "
            f"file can hold ({type(error).__name__})."
        ) from error
    if _header_length(data) > LONGEST_HEADER:
        raise CheckpointError(
            f"{path} would have {_header_length(data):,} bytes that are no tensors, and a checkpoint may have "
            f"{LONGEST_HEADER:,}: keep long lists as tensors."
        )
    try:
        write_atomically(path, _sealed(data))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be written: {_reason(error)}; what was there before is as it was.") from (
            error
        )


# States as JSON and tensors


def _pack(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:  # noqa: ANN401 (a state may hold many types)
    """A state as JSON, in which each tensor, moved to ``tensors``, is replaced by its name."""
    match value:
        case Tensor():
            if name in tensors:
                raise CheckpointError(f"A checkpoint tells its tensors apart by names, but two are named {name}.")
            tensors[name] = _in_memory(value, name)
            return {"tensor": name}
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else {"float": str(value)}
        case dict() if all(isinstance(key, str | int) for key in value):
            items = [[key, _pack(item, _below(name, key), tensors)] for key, item in value.items()]
            return {"counter" if isinstance(value, Counter) else "dict": items}
        case list() | tuple():
            items = [_pack(item, _below(name, place), tensors) for place, item in enumerate(value)]
            return items if isinstance(value, list) else {"tuple": items}
    raise CheckpointError(f"A checkpoint holds tensors and JSON alone, but {name} is a {type(value).__qualname__}.")


def _below(name: str, key: str | int) -> str:
    """The name of an item: no two items have the same, since a slash inside a key is written ``~1``, and ~ ``~0``."""
    return f"{name}/{str(key).replace('~', '~0').replace('/', '~1')}"


def _in_memory(value: Tensor, name: str) -> Tensor:
    """A copy of a tensor as the file can hold it: its numbers one after the other.

    Raises:
        CheckpointError: the tensor has no such numbers (sparse, quantized, on "meta"), or a format that has no name in
            the file.
    """
    if value.layout != torch.strided or value.is_quantized or value.is_meta:
        raise CheckpointError(
            f'A checkpoint holds dense tensors alone, but {name} is sparse, quantized or on "meta": convert it first.'
        )
    try:
        safetensors.torch.save({"empty": torch.empty(0, dtype=value.dtype)})
    except (KeyError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"A checkpoint cannot hold numbers of the format {value.dtype}, as {name}.") from error
    return value.detach().cpu().resolve_conj().resolve_neg().contiguous().clone()


def _unpack(packed: Any, name: str, tensors: dict[str, Tensor]) -> Any:  # noqa: ANN401
    """The state that :func:`_pack` described; each tensor is taken out of ``tensors``, under the name of its place.

    Raises:
        ValueError, TypeError, LookupError: nothing that :func:`_pack` makes.
    """
    match packed:
        case {"tensor": given} if len(packed) == 1 and given == name:
            return tensors.pop(name)
        case {"float": "inf" | "-inf" | "nan" as number} if len(packed) == 1:
            return float(number)
        case {"dict": [*items]} if len(packed) == 1:
            return _unpack_items(items, name, tensors)
        case {"counter": [*items]} if len(packed) == 1:
            return Counter(_unpack_items(items, name, tensors))
        case {"tuple": [*items]} if len(packed) == 1:
            return tuple(_unpack(list(items), name, tensors))
        case list():
            return [_unpack(item, _below(name, place), tensors) for place, item in enumerate(packed)]
        case None | bool() | int() | str():
            return packed
        case float() if math.isfinite(packed):
            return packed
    raise ValueError(f"{name} is neither a tensor nor JSON")


def _unpack_items(items: list[Any], name: str, tensors: dict[str, Tensor]) -> dict[str | int, Any]:
    """The dictionary whose keys and values :func:`_pack` listed."""
    unpacked = {key: _unpack(item, _below(name, key), tensors) for key, item in items}
    if len(unpacked) < len(items) or not all(isinstance(key, str | int) for key in unpacked):
        raise ValueError(f"{name} has a key twice, or one that is neither text nor a whole number")
    return unpacked


# The file


def read_sealed(path: Path) -> tuple[Json, dict[str, Any]]:
    """The header's content and the states by name, from a file whose every byte is as it was written.

    Raises:
        CheckpointError: there is no such file, it is damaged, or it is not what :func:`write_sealed` writes.
    """
    data = _read(path)
    seal = _find_seal(data)
    if seal is None:
        raise _not_a_checkpoint(path)
    if seal[1].decode() != _digest(data, seal):
        raise CheckpointError(f"{path} is damaged: it was cut short or altered after it was written.")
    try:
        content = json.loads(
            json.loads(data[8 : 8 + _header_length(data)])["__metadata__"][_KEY],
            parse_constant=_refuse_constant,
        )
        if content["format"] == FORMAT:
            return content, _states(content, safetensors.torch.load(data))
        given = str(int(content["format"]))
    except _MALFORMED as error:
        raise CheckpointError(
            f"{path} is not in the form of a checkpoint ({type(error).__name__}): it was altered, or written by "
            "another program."
        ) from error
    raise CheckpointError(f"{path} has format {given}, and this version of aevb_utils reads format {FORMAT}.")


def _states(content: Json, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """The states of a file; all that the header must say about them is there, and no tensor is left over.

    Raises:
        ValueError, TypeError, LookupError: the content is not that of a checkpoint.
    """
    states = {name: _unpack(state, name, tensors) for name, state in content["states"].items()}
    about = content["description"] if "description" in content else content["settings"]
    dictionaries = (content["classes"], content["provenance"], about, *states.values())
    if not all(isinstance(value, dict) for value in dictionaries):
        raise TypeError("a part of the header is no dictionary")
    if not isinstance(content["groups"], list | None):
        raise TypeError("the groups of parameters are no list")
    if content["classes"].keys() != states.keys() or "model" not in states or tensors:
        raise ValueError("the states, their classes and the tensors do not belong together")
    return states


def _refuse_constant(name: str) -> float:
    """JSON has no NaN and no infinity."""
    raise ValueError(f"{name} is not JSON")


def _read(path: Path) -> bytes:
    """All bytes of a file that begins as a checkpoint does; of any other no more than its beginning is read."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for
            raise CheckpointError(f"There is no checkpoint to read at {path}: it is a folder, a pipe or a device.")
        with path.open("rb") as file:
            length = _header_length(file.read(8))
            if length > LONGEST_HEADER or not _SEAL.search(file.read(length)):
                raise _not_a_checkpoint(path)
            file.seek(0)
            return file.read()
    except (OSError, ValueError) as error:
        raise CheckpointError(f"There is no checkpoint to read at {path}: {_reason(error)}.") from error


def _not_a_checkpoint(path: Path) -> CheckpointError:
    """What is said of a file that does not begin as a checkpoint does."""
    return CheckpointError(f"{path} is not a checkpoint, or it was cut short or altered at its beginning.")


def _reason(error: OSError | ValueError) -> str:
    """Why a file cannot be read or written, in the system's words."""
    return str(getattr(error, "strerror", None) or error)


def _header_length(data: bytes) -> int:
    """How many bytes the JSON header of a safetensors file has; it begins at byte 8."""
    return int.from_bytes(data[:8], "little")


def _find_seal(data: bytes) -> re.Match[bytes] | None:
    """Where the header of a checkpoint keeps the SHA-256."""
    return _SEAL.search(data, 8, 8 + min(_header_length(data), len(data)))


def _digest(data: bytes, seal: re.Match[bytes]) -> str:
    """The SHA-256 of all bytes, with zeros in place of the SHA-256 itself."""
    digest = hashlib.sha256(data[: seal.start(1)])
    digest.update(_ZEROS.encode())
    digest.update(memoryview(data)[seal.end(1) :])
    return digest.hexdigest()


def _sealed(data: bytes) -> bytes:
    """The bytes of a new file, with their SHA-256 in place of the zeros."""
    seal = _find_seal(data)
    return data[: seal.start(1)] + _digest(data, seal).encode() + data[seal.end(1) :]
