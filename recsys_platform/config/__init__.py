"""Configuration: settings from the environment or AWS, and what they name.

Belongs here: the settings, where they come from, the hub, warehouse and registry of a world. Does not: the engines themselves.
"""
