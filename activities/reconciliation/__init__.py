"""Activities of a reconciliation round: compare ledger and Temporal, diagnose, repair."""
