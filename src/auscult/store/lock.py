"""One writer to a folder: a lock that the system drops when its process ends, however it ends."""

import os
from pathlib import Path

from auscult.core.errors import RunLockedError, StoreError

LOCK_NAME = ".lock"


class FolderLock:
    """Holds a folder, which is made if missing, until :meth:`release` or the end of the process."""

    def __init__(self, folder: Path) -> None:
        """Take the lock at once or not at all.

        Raises:
            RunLockedError: Someone else holds it, in this process or another.
            StoreError: The folder cannot be made or written to.
        """
        # fcntl exists on POSIX systems only; importing it here lets readers work anywhere.
        import fcntl

        self._handle: int | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreError(f"{folder} cannot be written to: {error.strerror}") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            raise RunLockedError(
                f"{folder} is being written to: wait for the other writer, or choose another folder"
            ) from error
        self._handle = handle

    def release(self) -> None:
        """Let go; the lock file stays, because removing it would race with the next holder."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
