"""Models in service.

Belongs here: model versions on SageMaker endpoints. Does not: training and the registry (recommender/).
"""
