"""The data hub: where objects live, what they are called, how they are read and written.

Belongs here: the folder (later S3) behind one small class, key names, attribute snapshots fetched from REST.
Does not: what stands inside a landing object (events/), SQL (warehouse/).
"""
