"""The model host: one model version over HTTP, by SageMaker's contract. It knows no reader: a request brings the history along."""
