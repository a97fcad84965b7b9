"""What the zero page itself costs: clearing it, reading it, keeping it."""
