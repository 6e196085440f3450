"""Landing objects, attribute snapshots, and the raw tables into which they are loaded exactly once."""
