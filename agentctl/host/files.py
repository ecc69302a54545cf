"""Small files written whole or not at all; private from the first moment unless said otherwise."""

from __future__ import annotations

import errno
import os
import stat

from agentctl.host.owner import give_to_owner


def write_private(path: str, data: bytes) -> None:
    """Put `data` at `path` by rename; mode 0600; a failure leaves the old file as it was."""
    _replace(path, data, 0o600)
    give_to_owner(path)


def write_shared(path: str, data: bytes) -> None:
    """The same with mode 0644, whatever the umask: for a file that other users read."""
    _replace(path, data, 0o644)


def _replace(path: str, data: bytes, mode: int) -> None:
    temporary = f"{path}.{os.getpid()}.new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        if mode != 0o600:
            os.fchmod(descriptor, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        remove(temporary)
        raise


def create_private(path: str) -> None:
    """Create an empty file of mode 0600 unless it exists."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    give_to_owner(path)


def remove(path: str) -> None:
    """Delete `path` if it exists."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def open_regular(path: str) -> int:
    """A descriptor to read the file with. OSError for anything else: an agent can put a pipe in its place."""
    # Without O_NONBLOCK, to open a pipe waits for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", path)
    return descriptor


def read_small(path: str, limit: int = 65536) -> bytes | None:
    """The first `limit` bytes, or None if there is no such file. Other errors are raised."""
    try:
        descriptor = open_regular(path)
    except FileNotFoundError:
        return None
    try:
        return os.read(descriptor, limit)
    finally:
        os.close(descriptor)


def remove_directory(directory: str) -> None:
    """Delete a directory with everything in it, if it exists."""
    import shutil

    shutil.rmtree(directory, ignore_errors=True)


def keep_end(path: str, size: int) -> bool:
    """Cut a file larger than `size` to its last `size` bytes, from a line's start; whether it was cut."""
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            length = os.fstat(file.fileno()).st_size
            if length <= size:
                return False
            file.seek(length - size)
            kept = file.read(size)
    except FileNotFoundError:
        return False
    write_private(path, b"[the beginning was cut off]\n" + kept[kept.find(b"\n") + 1 :])
    return True
