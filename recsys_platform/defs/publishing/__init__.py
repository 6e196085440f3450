"""Recommendation tables, swapped in one step."""
