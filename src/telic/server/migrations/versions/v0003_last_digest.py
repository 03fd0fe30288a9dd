"""Each conversation's last digest, and indexes by which conversations are found without reading all of a user's."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column, fill it, and create the indexes."""
    op.add_column("conversations", sa.Column("last_digest", sa.String(64)))
    conversations = sa.table("conversations", *map(sa.column, ("id", "length", "last_digest")))
    turns = sa.table("turns", *map(sa.column, ("conversation", "position", "digest")))
    last = sa.select(turns.c.digest).where(
        turns.c.conversation == conversations.c.id, turns.c.position == conversations.c.length - 1
    )
    op.execute(conversations.update().values(last_digest=last.scalar_subquery()))
    op.create_index("ix_conversations_last_digest", "conversations", ["last_digest", "updated"])
    op.create_index("ix_conversations_updated", "conversations", ["user", "updated"])
    op.drop_index("ix_turns_digest", "turns")
    op.create_index("ix_turns_digest", "turns", ["digest", "role"])


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_turns_digest", "turns")
    op.create_index("ix_turns_digest", "turns", ["digest"])
    op.drop_index("ix_conversations_updated", "conversations")
    op.drop_index("ix_conversations_last_digest", "conversations")
    op.drop_column("conversations", "last_digest")
