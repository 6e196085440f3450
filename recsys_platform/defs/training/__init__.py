"""Training: data set, models, evaluation, promotion."""
