"""Alerts by webhook and SNS.

Belongs here: channels, the text of an alert, redaction of secrets. Does not: detecting problems (defs/automation/).
"""
