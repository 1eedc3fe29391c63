"""Getting a published file: a user's own copy, the cache, or the web, verified wherever it comes from."""

import gzip
import hashlib
import os
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import pooch
import requests

from aevb_utils.console import say

TIMEOUT = 20.0
"""Seconds to wait for a mirror to answer, or to go on sending."""


class DataError(RuntimeError):
    """A data file is wrong or cannot be had; the message is one sentence that says what to do."""


class DataUnavailableError(DataError):
    """A data file cannot be had at all: no mirror gave it, or the cache cannot hold it."""


@dataclass(frozen=True)
class RemoteFile:
    """A published file: its path below ``AEVB_DATA_DIR``, its mirrors, and the SHA-256 of its content.

    A gzip file's content is what decompression leaves: it is the same at every mirror, the compressed bytes are not.
    """

    path: str
    urls: tuple[str, ...]
    sha256: str


def fetch(file: RemoteFile) -> bytes:
    """Return a file's verified content: from ``AEVB_DATA_DIR``, else from the cache, else from its mirrors in turn."""
    content = _from_data_dir(file)
    return _from_cache(file) if content is None else content


def _from_data_dir(file: RemoteFile) -> bytes | None:
    """Return the content of the user's own copy, None where there is none; a wrong copy is never replaced."""
    if not (data_dir := os.environ.get("AEVB_DATA_DIR")):
        return None
    folder = Path(data_dir).expanduser()
    if not folder.is_dir():
        raise DataError(f"AEVB_DATA_DIR should name a folder, but {folder} is none; correct it or unset it.")
    path = folder / file.path
    cure = f"replace it with a fresh copy from {file.urls[0]}, or remove it to have it downloaded."
    try:
        content = _decompressed(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"{path} should be a file that can be read, but is not ({error.strerror}); {cure}") from error
    except ValueError as error:
        raise DataError(f"{path} should be a whole gzip file, but it is truncated or damaged; {cure}") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != file.sha256:
        wanted = f"should have content with the SHA-256 {file.sha256[:12]}…"
        raise DataError(f"{path} {wanted}, but its {len(content):,} bytes have {digest[:12]}…; {cure}")
    return content


def _from_cache(file: RemoteFile) -> bytes:
    """Return the cached content, downloading it where there is none or it is damaged.

    pooch downloads to a temporary file, verifies that and only then renames it, so that no half-written file gets the
    name; it verifies a cached file on each use. The cache holds decompressed content: pooch can hash that.
    """
    cache = Path(os.environ.get("AEVB_CACHE_DIR") or pooch.os_cache("aevb")).expanduser()
    target = cache / file.path.removesuffix(".gz")
    pooch.get_logger().setLevel("WARNING")  # its notes name paths, which do not belong in a notebook's outputs
    failures = []
    for url in file.urls:
        try:
            found = pooch.retrieve(url, file.sha256, target.name, target.parent, downloader=_download)
            return Path(found).read_bytes()
        except (requests.RequestException, ValueError) as error:
            failures.append(f"{urlsplit(url).netloc} {_what_happened(error)}")
        except OSError as error:  # pooch raises a PermissionError of its own, without strerror
            raise DataUnavailableError(
                f"{file.path} cannot be kept in the cache folder {cache} ({error.strerror or 'Permission denied'}); "
                "set AEVB_CACHE_DIR to a folder that can be written."
            ) from error
    damaged = f"the cached {target} is damaged, " if target.exists() else ""
    raise DataUnavailableError(
        f"{file.path} could not be downloaded ({damaged}{', '.join(failures)}); connect to the internet and run "
        "again, or put the file in a folder and set AEVB_DATA_DIR to that folder."
    )


def _download(url: str, output_file: str, _: object) -> None:
    """Download to memory with a time limit, then write the decompressed content: a downloader for pooch."""
    buffer = BytesIO()
    pooch.HTTPDownloader(timeout=TIMEOUT)(url, buffer, None)
    Path(output_file).write_bytes(_decompressed(buffer.getvalue()))


def _decompressed(raw: bytes) -> bytes:
    if not raw.startswith(b"\x1f\x8b"):  # the first two bytes of every gzip file
        return raw
    try:
        return gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError("truncated or damaged gzip file") from error


def _what_happened(error: Exception) -> str:
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"answered with status {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return f"did not answer within {TIMEOUT:g} s"
    if isinstance(error, requests.RequestException):
        return "could not be reached or broke off"
    return "sent other content than was published"


def report_fallback(error: DataUnavailableError, *, instead: str) -> None:
    """Print the one line that says what is used instead; with ``AEVB_REAL_DATA=1`` raise the error."""
    if os.environ.get("AEVB_REAL_DATA", "") not in ("", "0"):
        raise error
    say(f"{error} This run goes on with {instead}.")
