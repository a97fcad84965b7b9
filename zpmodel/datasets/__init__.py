"""Measured and published data, read into one form."""
