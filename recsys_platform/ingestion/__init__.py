"""From bytes of landing objects to accepted and rejected records in the warehouse.

Belongs here: framing, splitting, the event envelope, validation, decoding, loading, arrivals, quarantine, revalidation,
reconciliation. Does not: where objects live (hub/), how an engine stores rows (warehouse/).
"""
