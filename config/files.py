"""Who may read the files that a process of this project makes."""

import os

_OTHERS = 0o077


def owner_only() -> None:
    """Make files and folders that this process and its children create readable by their owner only.

    Databases and logs hold user names, addresses and hashes of keys. Call it first in every process; repeating it
    changes nothing.
    """
    os.umask(_OTHERS)
