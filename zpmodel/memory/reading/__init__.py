"""A CPU that reads the zeroes."""
