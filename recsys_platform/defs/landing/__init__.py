"""Landing objects as they arrive, and the attribute snapshots fetched beside them."""
