"""What is remembered of users: the evidence log of each."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "memories",
        sa.Column("user", sa.String(300), primary_key=True),
        sa.Column("purpose", sa.String(200), primary_key=True),
        sa.Column("revision", sa.String(32), nullable=False),
    )
    op.create_table(
        "memory_events",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("user", sa.String(300), nullable=False),
        sa.Column("purpose", sa.String(200), nullable=False),
        sa.Column("id", sa.String(200), nullable=False),
        sa.Column("conversation", sa.String(36), sa.ForeignKey("conversations.id", ondelete="CASCADE")),
        sa.Column("time", sa.Float, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("source", sa.String(200), nullable=False),
        sa.Column("speaker", sa.String(16), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("data", sa.JSON, nullable=False),
        sa.UniqueConstraint("user", "purpose", "id", name="uq_memory_events_id"),
    )
    op.create_index("ix_memory_events_log", "memory_events", ["user", "purpose", "sequence"])
    op.create_index("ix_memory_events_conversation", "memory_events", ["conversation"])


def downgrade() -> None:
    """Drop them."""
    for table in ("memory_events", "memories"):
        op.drop_table(table)
