"""Reports for people: figures of loads and marts, the evaluation page, the recommendations of one reader.

Belongs here: reading and rendering marts, published tables and evaluation results. Does not: printing (cli/), computing results.
"""
