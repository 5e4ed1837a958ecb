"""Which Temporal a ledger belongs to: the cluster and the namespace in which its workflows live."""

from contract.model import Model


class TemporalIdentity(Model):
    """The identity of a namespace of a Temporal cluster. Neither id is ever given to another one."""

    cluster_id: str
    """Empty where the server does not tell, as Temporal Cloud may."""
    namespace: str
    """Its name, for people: two servers usually have a namespace of the same name."""
    namespace_id: str

    def is_same_as(self, other: "TemporalIdentity") -> bool:
        """Tell whether both are one namespace of one cluster; a cluster id that is not known is not compared."""
        known = self.cluster_id and other.cluster_id
        return self.namespace_id == other.namespace_id and (not known or self.cluster_id == other.cluster_id)

    def __str__(self) -> str:
        """Name it for a person."""
        return f"namespace {self.namespace} ({self.namespace_id}) of cluster {self.cluster_id or 'unknown'}"
