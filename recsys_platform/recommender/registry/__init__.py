"""Model registry: trained versions, and which of them are in production.

Belongs here: versions, their files, the promotion gate. Does not: training (training/), publishing lists (lists/).
"""
