"""Activities of reconciliation: compare ledger and Temporal, diagnose mismatches, repair them."""
