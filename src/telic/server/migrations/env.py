"""Alembic's environment: runs the migrations in one transaction on the connection that `open_database` passes."""

from alembic import context

from telic.server.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, version_table="telic_version")
with context.begin_transaction():
    context.run_migrations()
