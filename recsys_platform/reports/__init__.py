"""What a world looks like: figures of loads and marts, the recommendations of one reader.

Belongs here: reading marts and published tables for people. Does not: printing (cli/).
"""
