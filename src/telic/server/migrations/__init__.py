"""The migrations of the conversation store."""
