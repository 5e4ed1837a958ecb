"""The programs that wheels put beside the interpreter."""

import sys
from pathlib import Path


def beside_python(name: str) -> str:
    """Return the path of a program in the environment's bin folder; the SDK would download it otherwise."""
    path = Path(sys.executable).parent / name
    assert path.exists(), f"{name} is missing; `make test` installs it"
    return str(path)
