"""Clearing memory: bandwidth by size, method and cache."""
