"""Exports: daily Parquet, the reading copy, data sets for Amazon Personalize."""
