"""Shifts the wall clock of a process. Python runs this file at its start.

Its folder is only on the path of processes with a `ShiftedClock` (see `host_faults.py`).
"""

import os
import threading
import time
from datetime import timedelta
from pathlib import Path

import time_machine

POLL_S = 0.1
_SHIFT = Path(os.environ["CHAOS_CLOCK"])


def _follow_file() -> None:
    shift, travel = 0, None
    while True:
        wanted = int(_SHIFT.read_text())
        if wanted != shift:
            if travel is not None:
                travel.stop()
            travel = time_machine.travel(timedelta(seconds=wanted)) if wanted else None
            if travel is not None:
                travel.start()
            shift = wanted
        time.sleep(POLL_S)


threading.Thread(target=_follow_file, daemon=True).start()
