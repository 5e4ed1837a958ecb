"""Batch retries over HTTP: the list."""

from contract.model import Model
from settlement.batch_retry import Batch


class BatchList(Model):
    """Batches, newest first."""

    items: tuple[Batch, ...]
