"""A storm on the real stack: real processes killed, a real network broken, a real disk filled; then the invariant."""
