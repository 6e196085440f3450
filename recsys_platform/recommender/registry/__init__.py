"""Which models there are and which of them are live.

Belongs here: versions, their files, the gate and promotion. Does not: training (training/), what is published of them (lists/).
"""
