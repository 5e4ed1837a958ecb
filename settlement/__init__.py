"""The domain types of a settlement: states, calls, snapshot, policy, ids and limits. No I/O."""
