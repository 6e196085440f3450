"""Curated Parquet for data scientists."""
