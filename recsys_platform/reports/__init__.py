"""What people look at: figures of loads and marts, the evaluation as a page, the recommendations of one reader.

Belongs here: reading marts, published tables and results for people, and drawing them. Does not: printing (cli/), computing results.
"""
