"""Proof under faults: one invariant, attacked by enumeration, by seeded simulation and by planted bugs."""
