"""The copy of marts and published lists that is there for readers at all times."""
