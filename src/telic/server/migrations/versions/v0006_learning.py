"""Consent to learning, ids of deleted conversations, and the observations of a canary."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "consents",
        sa.Column("user", sa.String(300), primary_key=True),
        sa.Column("learn", sa.Boolean, nullable=False),
        sa.Column("time", sa.Float, nullable=False),
    )
    op.create_table(
        "deleted_conversations",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("time", sa.Float, nullable=False),
    )
    op.create_table(
        "canary_observations",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("canary", sa.String(64), nullable=False),
        sa.Column("user", sa.String(300), nullable=False),
        sa.Column("version", sa.String(32), nullable=False),
        sa.Column("time", sa.Float, nullable=False),
        sa.Column("satisfaction", sa.Float),
    )
    op.create_index("ix_canary_observations_user", "canary_observations", ["canary", "user"], unique=True)


def downgrade() -> None:
    """Drop them."""
    for table in ("canary_observations", "deleted_conversations", "consents"):
        op.drop_table(table)
