"""Red-teaming of a purpose's limits over many rounds, and what stops it at what cost to benign users."""
