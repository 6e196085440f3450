"""Receivers of events beside the data hub: webhooks, Segment, Personalize, Kinesis, Firehose.

Belongs here: what each takes and how it is spoken to, what of an event it may see, the file that configures them. Does not: queues and
retries (delivery.py).
"""
