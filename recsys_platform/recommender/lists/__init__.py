"""From scores to what readers see, and its publication.

Belongs here: rules, diversity, exploration, reasons, the published tables. Does not: scores (models/), selecting the best (ranking/).
"""
