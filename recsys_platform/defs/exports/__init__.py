"""Data for others: daily Parquet, the reading copy, files for Personalize."""
