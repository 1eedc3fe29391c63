"""A published file: where it is, how large it is, and which content is its own."""

import hashlib
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

_GZIP = b"\x1f\x8b"  # the first two bytes of every gzip file


class DataError(RuntimeError):
    """A data file is wrong or cannot be had; the message is one sentence that says what to do."""


class DataUnavailableError(DataError):
    """A data file cannot be had at all: no mirror gave it, or the cache cannot hold it."""


@dataclass(frozen=True)
class RemoteFile:
    """A published file: its path below ``AEVB_DATA_DIR``, its mirrors, the SHA-256 of its content, and its size.

    A gzip file's content is what decompression leaves: it is the same at every mirror, the compressed bytes are not.
    Where the checksum of the compressed file is the only one that is published, ``packed`` is true: then nothing but
    that very gzip file is taken.
    """

    path: str
    urls: tuple[str, ...]
    sha256: str
    size: int  # bytes of the content, decompressed
    packed: bool = False

    @property
    def largest(self) -> int:
        """The most bytes that the file can have, compressed or not: gzip makes none longer by as much as 1 %."""
        return self.size + self.size // 100 + 1024

    def read(self, path: Path) -> bytes:
        """Read a copy of the file and return its content, verified; of a file that is too large, no more than needed.

        Raises:
            OSError: It cannot be read.
            ValueError: It is another file; the message is what a sentence says of it, "should …, but …".
        """
        if os.path.lexists(path) and not path.is_file():
            raise ValueError("should be a file, but is none")  # a folder, or a pipe that would be waited for
        with path.open("rb") as file:
            return self.content(file.read(self.largest + 1))

    def content(self, raw: bytes) -> bytes:
        """Return the content of what was read or received, verified, never decompressing more than its known size.

        Raises:
            ValueError: It is another file; the message is what a sentence says of it, "should …, but …".
        """
        if self.packed:
            if not raw.startswith(_GZIP):
                raise ValueError(
                    "should be the compressed file, whose checksum is the only one published, but is not compressed"
                )
            self._verify(raw)
        content = _decompressed(raw, self.size + 1) if raw.startswith(_GZIP) else raw
        if len(content) > self.size:
            raise ValueError(f"should have content of {self.size:,} bytes, but has more")
        if not self.packed:
            self._verify(content)
        return content

    def _verify(self, content: bytes) -> None:
        digest = hashlib.sha256(content).hexdigest()
        if digest != self.sha256:
            raise ValueError(
                f"should have content with the SHA-256 {self.sha256[:12]}…, "
                f"but its {len(content):,} bytes have {digest[:12]}…"
            )


def _decompressed(raw: bytes, most: int) -> bytes:
    """Decompress a gzip file, but no more than the first bytes of its content."""
    stream = zlib.decompressobj(wbits=zlib.MAX_WBITS + 16)  # + 16: gzip
    try:
        content = stream.decompress(raw, most)
    except zlib.error as error:
        raise ValueError("should be a whole gzip file, but it is truncated or damaged") from error
    if not stream.eof and len(content) < most:
        raise ValueError("should be a whole gzip file, but it is truncated or damaged")
    return content
