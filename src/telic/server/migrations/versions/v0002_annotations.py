"""Annotations of stored turns: feedback, and probes with their answers."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the two tables."""
    for table, *own in (
        ("feedback", sa.Column("kind", sa.String(16), nullable=False), sa.Column("value", sa.JSON, nullable=False)),
        ("branches", sa.Column("content", sa.JSON, nullable=False)),
    ):
        op.create_table(
            table,
            sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
            sa.Column(
                "conversation", sa.String(36), sa.ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False
            ),
            sa.Column("position", sa.Integer, nullable=False),
            sa.Column("time", sa.Float, nullable=False),
            *own,
        )
        op.create_index(f"ix_{table}_turn", table, ["conversation", "position"])


def downgrade() -> None:
    """Drop them."""
    for table in ("feedback", "branches"):
        op.drop_table(table)
