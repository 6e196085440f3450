"""The data hub: where objects live, what they are called, how they are read and written.

Belongs here: folder and S3 behind one small port, what S3 tells of new objects, key names, attribute snapshots fetched from REST.
Does not: what stands inside a landing object (events/), SQL (warehouse/).
"""
