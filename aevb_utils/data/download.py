"""Getting a published file: a user's own copy, the cache, or the web, verified wherever it comes from."""

import contextlib
import os
import queue
import threading
import time
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import pooch
import requests
import urllib3

from aevb_utils.budget import switch
from aevb_utils.checking.console import say
from aevb_utils.data.data_dir import Search, folder_of, own_copy
from aevb_utils.data.published import DataError, DataUnavailableError, RemoteFile

__all__ = ["DataError", "DataUnavailableError", "RemoteFile", "fetch", "report_fallback"]


TIMEOUT = 20.0
"""Seconds to wait for a mirror to answer, or to go on sending."""
SLOWEST = 100_000
"""Bytes of content a second that a mirror must manage; a download may take three times ``TIMEOUT`` and as long."""
_CHUNK = 2**16
_PARTIAL = ".aevb-partial-"
_STALE = 3600.0  # seconds after which a half-written file is nobody's


def fetch(file: RemoteFile) -> bytes:
    """Return a file's verified content: from ``AEVB_DATA_DIR``, else from the cache, else from its mirrors in turn.

    Raises:
        DataError: A copy in ``AEVB_DATA_DIR`` is wrong; :class:`DataUnavailableError`: there is none anywhere.
    """
    search = own_copy(file)
    return _from_cache(file, search) if search.content is None else search.content


def cache_folder() -> Path:
    """The folder in which downloads are kept: what ``AEVB_CACHE_DIR`` names, else one in the user's own cache."""
    return folder_of("AEVB_CACHE_DIR") or Path(pooch.os_cache("aevb"))


def cached(file: RemoteFile) -> Path:
    """Where a download of a file is kept, whether it is there or not."""
    return cache_folder() / (file.path if file.packed else file.path.removesuffix(".gz"))


def _from_cache(file: RemoteFile, search: Search) -> bytes:
    """Return the cached content, downloading it where there is none or it is damaged.

    A download is verified in memory and only then written, under another name at first, so that no half-written file
    gets the name; a cached file is verified on each use. The cache holds decompressed content where that is verified.
    """
    target = cached(file)
    with contextlib.suppress(OSError, ValueError):  # none, or damaged: download it
        return file.read(target)
    failures = []
    for url in file.urls:
        try:
            raw = _download(url, file)
            content = file.content(raw)
        except (OSError, urllib3.exceptions.HTTPError, ValueError) as error:  # requests' errors are OSErrors
            failures.append(f"{urlsplit(url).netloc} {_what_happened(error)}")
            continue
        try:
            _keep(target, raw if file.packed else content)
        except OSError as error:
            raise DataUnavailableError(
                f"{file.path} cannot be kept in the cache folder {cache_folder()} ({error.strerror or error}); "
                "set AEVB_CACHE_DIR to a folder that can be written."
            ) from error
        return content
    raise DataUnavailableError(
        f"{file.path} could not be downloaded ({_damaged(target)}{', '.join(failures)}){_and_not_found(search)}"
    )


def _damaged(target: Path) -> str:
    if not os.path.exists(target):
        return ""
    return f"the cached {target} {'is damaged' if os.access(target, os.R_OK) else 'cannot be read'}, "


def _and_not_found(search: Search) -> str:
    """The end of the sentence: what the search of ``AEVB_DATA_DIR`` found, if it is set, and what to do."""
    if search.folder is None:
        return (
            "; connect to the internet and run again, or put the file in a folder and set AEVB_DATA_DIR to that folder."
        )
    return (
        f", and AEVB_DATA_DIR does not have it ({search.said}); connect to the internet and run again, "
        f"or put the file in {search.folder}."
    )


def _keep(target: Path, content: bytes) -> None:
    """Write a file whole or not at all; what a killed run left half-written is cleared away after an hour."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(f"{_PARTIAL}*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _STALE:
                left.unlink()
    path = target.parent / f"{_PARTIAL}{uuid.uuid4().hex}"
    path.touch(exist_ok=False)  # for others to read, as the umask says
    try:
        path.write_bytes(content)
        path.replace(target)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _download(url: str, file: RemoteFile) -> bytes:
    """Download to memory, within the file's largest size and a total time.

    The download has a thread of its own: a server that sends a byte now and then keeps every timeout between bytes,
    and nothing but waiting from outside gives it up in time.
    """
    seconds = 3 * TIMEOUT + file.size / SLOWEST
    answer: queue.SimpleQueue[bytes | Exception] = queue.SimpleQueue()

    def receive() -> None:
        try:
            answer.put(_receive(url, file.largest, time.monotonic() + seconds))
        except Exception as error:
            answer.put(error)

    threading.Thread(target=receive, daemon=True).start()
    try:
        received = answer.get(timeout=seconds)
    except queue.Empty:
        raise _TooSlowError(seconds) from None
    if isinstance(received, Exception):
        raise received
    return received


def _receive(url: str, most: int, deadline: float) -> bytes:
    """The bytes that a server sends, as they are, until they are too many or the time is up."""
    as_it_is = {"Accept-Encoding": "identity"}  # decompression is ours, to a limit
    with requests.get(url, stream=True, timeout=TIMEOUT, headers=as_it_is) as response:
        response.raise_for_status()
        announced = response.headers.get("Content-Length", "")
        if announced.isdigit() and int(announced) > most:
            raise _TooLargeError(most)
        received = bytearray()
        for chunk in response.raw.stream(_CHUNK, decode_content=False):
            received += chunk
            if len(received) > most:
                raise _TooLargeError(most)
            if time.monotonic() > deadline:
                break  # nobody waits any more
        return bytes(received)


class _TooLargeError(requests.RequestException):
    def __init__(self, most: int) -> None:
        super().__init__(f"sends more than the {most:,} bytes that the file can have")


class _TooSlowError(requests.RequestException):
    def __init__(self, seconds: float) -> None:
        super().__init__(f"had not sent all of it after {seconds:.3g} s")


def _what_happened(error: Exception) -> str:
    if isinstance(error, (_TooLargeError, _TooSlowError)):
        return str(error)
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"answered with status {error.response.status_code}"
    if isinstance(error, (requests.Timeout, urllib3.exceptions.TimeoutError)):
        return f"did not answer within {TIMEOUT:g} s"
    if isinstance(error, (OSError, urllib3.exceptions.HTTPError)):
        return "could not be reached or broke off"
    return "sent other content than was published"


def report_fallback(error: DataUnavailableError, *, instead: str) -> None:
    """Print the one line that says what is used instead; with ``AEVB_REAL_DATA=1`` raise the error."""
    if switch("AEVB_REAL_DATA"):
        raise error
    say(f"{error} This run goes on with {instead}.")
