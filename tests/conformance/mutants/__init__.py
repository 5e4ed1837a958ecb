"""Simulators with one planted fault each: the test of the conformance kit, which must name the broken requirement.

Where to look:

- `mutant.py`: what a mutant is, and how a fault is planted.
- `replies.py`, `repeats.py`, `validation.py`, `cancels.py`, `races.py`, `connections.py`, `cancel_operation.py`,
  `books.py`: the faults by theme.
- `table.py`: all of them by name.
- `__main__.py`, `processes.py`: a mutant as a process of its own.
"""
