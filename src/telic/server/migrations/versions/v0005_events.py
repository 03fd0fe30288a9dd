"""Events that other systems report about conversations."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "events",
        sa.Column("owner", sa.String(300), primary_key=True),
        sa.Column("id", sa.String(200), primary_key=True),
        sa.Column("conversation", sa.String(36), sa.ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
        sa.Column("position", sa.Integer),
        sa.Column("time", sa.Float, nullable=False),
        sa.Column("content", sa.JSON, nullable=False),
    )
    op.create_index("ix_events_conversation", "events", ["conversation", "time"])


def downgrade() -> None:
    """Drop it."""
    op.drop_table("events")
