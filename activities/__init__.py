"""The side effects of a settlement, one verb per file. What they take and return lives in `contract`."""
