"""Kernels that talk over socket files: of TCP ports, two programs may pick the same one at the same time, and hang."""

import shutil
import sys
import tempfile
from pathlib import Path

from jupyter_client.manager import KernelManager
from traitlets import default

LONGEST = 60  # a socket's path may have about 100 characters: in a longer temporary folder there is no room for it


class SocketKernelManager(KernelManager):
    """Starts a kernel whose channels are files in a folder of its own; where that cannot be (Windows), TCP ports."""

    @default("transport")
    def _transport_default(self) -> str:
        return "tcp" if sys.platform == "win32" or len(tempfile.gettempdir()) > LONGEST else "ipc"

    @default("ip")
    def _ip_default(self) -> str:
        return (
            "127.0.0.1" if self.transport == "tcp" else str(Path(tempfile.mkdtemp(prefix="aevb-kernel-")) / "channel")
        )

    def cleanup_ipc_files(self) -> None:
        """Remove the channels' files, and their folder."""
        super().cleanup_ipc_files()
        if self.transport == "ipc":
            shutil.rmtree(Path(self.ip).parent, ignore_errors=True)
