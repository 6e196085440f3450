"""The data hub: where objects live, what they are called, how they are read and written.

Belongs here: the object store port with its folder and S3 implementations, key names, the landing writer, S3's notifications over SQS.
Does not: the content of a landing object (ingestion/), SQL (warehouse/).
"""
