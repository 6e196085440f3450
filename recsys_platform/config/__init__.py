"""Configuration: settings from the environment or AWS, and factories for what they name.

Belongs here: settings, their sources, and factories of hub, warehouse and registry. Does not: the engines themselves.
"""
