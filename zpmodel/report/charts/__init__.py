"""Charts, one look."""
