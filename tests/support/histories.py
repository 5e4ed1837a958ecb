"""Where recorded histories are kept, and what is left out of them."""

import json
from pathlib import Path
from typing import Any

HISTORIES = Path(__file__).parent.parent / "replay" / "histories"
RELEASE = "0.1"


def without_stack_traces(history: str) -> str:
    """Leave out what names the folders of the machine that recorded it; a replay does not read it."""

    def cleaned(fields: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in fields.items() if name != "stackTrace"}

    return json.dumps(json.loads(history, object_hook=cleaned), indent=2)
