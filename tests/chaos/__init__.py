"""Chaos tests on the real stack: faults of processes, network, disk and clocks under load; then the invariant."""
