"""Python reads this file at its start, before anything else, in a process whose wall clock a storm can set.

It stands in a folder of its own, which only those processes have on their path (see `shifted_clock.py`).
"""

import os
import threading
import time
from datetime import timedelta
from pathlib import Path

import time_machine

LOOKS_EVERY_S = 0.1
_SHIFT = Path(os.environ["CHAOS_CLOCK"])


def _keep_to_the_file() -> None:
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
        time.sleep(LOOKS_EVERY_S)


threading.Thread(target=_keep_to_the_file, daemon=True).start()
