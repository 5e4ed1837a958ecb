"""Records of reconciliation: findings, rounds, and the limits of take-ups."""
