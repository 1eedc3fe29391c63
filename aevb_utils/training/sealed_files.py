"""The file of a checkpoint: states as JSON and tensors in safetensors, sealed by the SHA-256 of all its bytes."""

import contextlib
import hashlib
import json
import math
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

FORMAT = 1
"""The layout of the file that this version writes and reads."""

_KEY = "aevb_checkpoint"  # the one entry of the safetensors header: all that is not a tensor, as JSON
_SEAL = re.compile(rb'\\"sha256\\": \\"([0-9a-f]{64})\\"')  # its first item: the SHA-256 of the file with zeros here
_ZEROS = "0" * 64

Json = dict[str, Any]


class CheckpointError(RuntimeError):
    """A checkpoint cannot be written, or cannot be used; nothing was changed."""


def write_sealed(path: Path, content: Json, states: Json) -> None:
    """Write states and what is said about them, whole or not at all.

    Raises:
        CheckpointError: the file cannot be written, or a state holds something that is neither a tensor nor JSON.
    """
    tensors: dict[str, Tensor] = {}
    packed = {name: _pack(state, name, tensors) for name, state in states.items()}
    header = {"sha256": _ZEROS, "format": FORMAT} | content | {"states": packed}
    data = safetensors.torch.save(tensors, {_KEY: json.dumps(header, allow_nan=False)})
    _write(path, _sealed(data))


# States as JSON and tensors


def _pack(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:  # noqa: ANN401 (a state may hold many types)
    """A state as JSON, in which each tensor, moved to ``tensors``, is replaced by its name."""
    match value:
        case Tensor():
            tensors[name] = value.detach().cpu().contiguous().clone()
            return {"tensor": name}
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else {"float": str(value)}
        case dict() if all(isinstance(key, str | int) for key in value):
            items = [[key, _pack(item, f"{name}/{key}", tensors)] for key, item in value.items()]
            return {"counter" if isinstance(value, Counter) else "dict": items}
        case list() | tuple():
            items = [_pack(item, f"{name}/{place}", tensors) for place, item in enumerate(value)]
            return items if isinstance(value, list) else {"tuple": items}
    raise CheckpointError(f"A checkpoint holds tensors and JSON alone, but {name} is a {type(value).__qualname__}.")


def _unpack(packed: Any, tensors: dict[str, Tensor]) -> Any:  # noqa: ANN401
    """The state that :func:`_pack` described."""
    match packed:
        case {"tensor": name}:
            return tensors[name]
        case {"float": number}:
            return float(number)
        case {"dict": items}:
            return {key: _unpack(item, tensors) for key, item in items}
        case {"counter": items}:
            return Counter(dict(items))
        case {"tuple": items}:
            return tuple(_unpack(item, tensors) for item in items)
        case list():
            return [_unpack(item, tensors) for item in packed]
    return packed


# The file


def read_sealed(path: Path) -> tuple[Json, dict[str, Any]]:
    """The header's content and the states by name, from a file whose every byte is as it was written."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"There is no checkpoint to read at {path}: {error.strerror}.") from error
    seal = _find_seal(data)
    if seal is None:
        raise CheckpointError(f"{path} is not a checkpoint, or it was cut short or altered at its beginning.")
    if seal[1].decode() != _digest(data, seal):
        raise CheckpointError(f"{path} is damaged: it was cut short or altered after it was written.")
    content = json.loads(json.loads(data[8 : 8 + _header_length(data)])["__metadata__"][_KEY])
    if content["format"] != FORMAT:
        raise CheckpointError(
            f"{path} has format {content['format']}, and this version of aevb_utils reads format {FORMAT}."
        )
    tensors = safetensors.torch.load(data)
    return content, {name: _unpack(state, tensors) for name, state in content["states"].items()}


def _write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: a file beside it first, onto the disk, then one rename."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):  # the first error is the one to tell
            partial.unlink(missing_ok=True)
        raise CheckpointError(
            f"{path} cannot be written: {error.strerror}; what was there before is as it was."
        ) from error


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
