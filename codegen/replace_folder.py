"""Put a finished folder in the place of another in one step, which no kill can cut in two.

in:  a staging folder beside the target, with all files written
out: the target is either what it was or the new folder; what was replaced is where staging was
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import tempfile
import time
from pathlib import Path

AT_FDCWD = -100
RENAME_EXCHANGE = 2
LEFT_BEHIND_S = 3600.0  # a staging folder this old belongs to a process that was killed


def replace_folder(target: Path, staging: Path) -> None:
    """Rename `staging` to `target`; a folder that is there has the name `staging` afterwards."""
    try:
        os.rename(staging, target)  # onto nothing or onto an empty folder: atomic
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        _exchange(target, staging)


def remove_left_behind(folder: Path, prefix: str) -> None:
    """Remove staging folders that killed processes left in `folder`."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if path.name.startswith(prefix) and _age(path) > LEFT_BEHIND_S:
                shutil.rmtree(path, ignore_errors=True)


def _age(path: Path) -> float:
    try:
        return time.time() - path.lstat().st_mtime
    except OSError:
        return 0.0


def _exchange(target: Path, staging: Path) -> None:
    """Swap two folders: atomic on Linux, elsewhere with a moment in which there is no target."""
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is not None:
        names = os.fsencode(staging), os.fsencode(target)
        if function(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE) == 0:
            return
        code = ctypes.get_errno()
        if code not in (errno.EINVAL, errno.ENOSYS):  # the file system cannot
            raise OSError(code, os.strerror(code), str(target))
    aside = Path(tempfile.mkdtemp(prefix=f"{staging.name}-old-", dir=target.parent))
    os.rename(target, aside)
    try:
        os.rename(staging, target)
    except OSError:
        os.rename(aside, target)
        raise
    os.rename(aside, staging)
