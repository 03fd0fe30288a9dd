"""Sources: where a digest reads. A module for each kind."""
