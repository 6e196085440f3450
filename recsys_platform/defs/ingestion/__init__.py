"""Landing objects, attribute snapshots, and the raw tables that they are loaded into exactly once."""
