"""The gateway: the recommendation API over HTTP.

Belongs here: routes, who may call them, what requests and answers look like. Does not: recommendations themselves (serving/).
"""
