"""Run by alembic: brings the database of the connection that it is given up to date, in one transaction."""

from alembic import context

from telic.server.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, version_table="telic_version")
with context.begin_transaction():
    context.run_migrations()
