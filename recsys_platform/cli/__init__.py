"""The `recsys` command.

Belongs here: commands, their options, what they print. Does not: the work itself.
"""
