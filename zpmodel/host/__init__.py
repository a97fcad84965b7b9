"""What is true of this machine, and what we own on it."""
