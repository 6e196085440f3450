"""One stack a module, named as the architecture names it."""
