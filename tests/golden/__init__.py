"""What people read, as it was last reviewed; ``python tests/golden/write.py`` writes it anew."""
