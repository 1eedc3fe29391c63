"""Write a file whole or not at all, whoever else writes to the same place."""

import contextlib
import errno
import os
import shutil
import tempfile
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file in one step: whoever reads it, and whatever breaks off, finds the old content or the new one.

    The content goes into a file in a new folder of its own beside the place, onto the disk, and is moved there by one
    rename. The folder's name is drawn, so that two programs that write to one path each write a whole file, the last
    one stays, and nothing that lies in the folder is followed or overwritten. After an error it is gone; a program that
    is killed can leave it behind, as ``.writing-…``.

    A symbolic link stays a link: the file that it leads to is replaced. A file that is replaced keeps its permissions.

    Args:
        path: where; its folder must exist.
        content: all bytes of the file.

    Raises:
        OSError: the file cannot be written, or the path is a folder, a pipe or a device.
        ValueError: no file can have that name: it holds a NUL.
    """
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    if target.exists() and not target.is_file():
        raise OSError(errno.EEXIST, "a folder, a pipe or a device is there", str(path))
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".writing-", ignore_cleanup_errors=True) as folder:
        partial = Path(folder) / target.name
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileNotFoundError):  # a new file
            shutil.copymode(target, partial)
        partial.replace(target)
