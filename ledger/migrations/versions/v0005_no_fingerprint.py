"""Drop the fingerprint of settlements: a repeat is compared with the order itself.

Revision: 0005, after: 0004
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply. SQLite drops a column in place; a copy of the table would break the references to its rows."""
    op.drop_column("settlements", "fingerprint")
