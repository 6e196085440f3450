"""From a data set to trained, tuned and registered models.

Belongs here: the variants, and what is done with each. Does not: the models themselves (models/), how good they are (evaluation/).
"""
