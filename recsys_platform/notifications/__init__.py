"""Messages to people: alerts over webhooks and SNS.

Belongs here: channels, what an alert says, leaving secrets out. Does not: finding what is wrong (defs/automation/).
"""
