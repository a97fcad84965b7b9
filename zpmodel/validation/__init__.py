"""Scoring predictions against truths that were not fitted."""
