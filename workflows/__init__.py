"""The story of a settlement, and how it is started, run and seen in Temporal."""
