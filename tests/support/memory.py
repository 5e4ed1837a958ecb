"""Temporary files of the tests are kept in memory, where the system offers enough of it.

The ledger waits for the disk at each commit, as it must; thousands of tests would wait for minutes.
"""

import os
import shutil
import tempfile
from pathlib import Path

_MEMORY = Path("/dev/shm")  # noqa: S108 - what is made in it has names of its own
_NEEDED_BYTES = 2 * 2**30


def keep_temporary_files_in_memory() -> None:
    """Let this process and its children make temporary files in memory, unless `TMPDIR` names another place."""
    if "TMPDIR" in os.environ or not os.access(_MEMORY, os.W_OK):
        return
    if shutil.disk_usage(_MEMORY).free >= _NEEDED_BYTES:
        os.environ["TMPDIR"] = str(_MEMORY)
        tempfile.tempdir = None
