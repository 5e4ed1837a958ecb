"""The whole of each reply (table 4) in the audit.

Revision: 0004, after: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("external_calls", sa.Column("biz_code", sa.String(length=64), nullable=True))
    op.add_column("external_calls", sa.Column("tm", sa.BigInteger(), nullable=True))
    op.add_column("external_calls", sa.Column("trace", sa.String(length=128), nullable=True))
    op.add_column("external_calls", sa.Column("msg_params", sa.Text(), nullable=True))
    op.add_column("external_calls", sa.Column("data", sa.Text(), nullable=True))
    op.add_column("external_calls", sa.Column("ok", sa.Boolean(), nullable=True))
    op.add_column("external_calls", sa.Column("fail", sa.Boolean(), nullable=True))
