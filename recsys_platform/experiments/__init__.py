"""Whether what is recommended works: policies judged by what was shown and clicked.

Belongs here: off-policy estimators and the published policies that they judge. Does not: offline evaluation (recommender/evaluation/).
"""
