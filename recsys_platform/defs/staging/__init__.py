"""Raw tables: what landed, loaded exactly once."""
