"""Data for others: marts as daily Parquet, files for Amazon Personalize.

Belongs here: which rows go out, in which form. Does not: published recommendations (recommender/lists/).
"""
