"""What puts a model version of the registry onto AWS: its archive, SageMaker's endpoint, the share of traffic it gets.

Belongs here: packing, uploading, naming, and the calls to AWS. Does not: training and the registry (recommender/), what a model
answers (serving/), whether it deserves more traffic (experiments/).
"""
