"""Data set, models, evaluation."""
