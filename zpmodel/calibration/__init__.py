"""Fitting costs to measurements, and scoring predictions against truths that were not fitted."""
