"""Pages for people, as assets."""
