"""Records of reconciliation: findings, rounds, and how many workflows may be taken up."""
