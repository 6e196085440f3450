"""Deploy model versions of the registry to SageMaker: archive, model, endpoint, share of traffic.

Belongs here: packing, uploading, naming, and the calls to AWS. Does not: training and the registry (recommender/), whether a variant
should get more traffic (experiments/).
"""
