"""The checks, one module for each theme. Importing this package registers all of them in `REQUIREMENTS`."""

from importlib import import_module
from pkgutil import iter_modules

from conformance.requirement import REQUIREMENTS

__all__ = ["REQUIREMENTS"]

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

_in_order = sorted(REQUIREMENTS.items())
REQUIREMENTS.clear()
REQUIREMENTS.update(_in_order)
