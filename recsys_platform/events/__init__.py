"""The event contract: names and required properties, framing of landing objects, the accept/reject decision, replay of your own data.

Belongs here: what a record is and whether it can be accepted. Does not: where objects live (hub/), SQL (warehouse/).
"""
