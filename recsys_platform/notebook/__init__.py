"""What notebooks of data scientists call: the public interface of the platform in Python.

Belongs here: few functions and their results, as pandas tables, sentences and plots. Does not: the statistics and models themselves,
anything that writes to a warehouse, a hub or a registry.

What the modules of this package name in `__all__` stays as `docs/notebooks.md` says from release to release; the rest of
`recsys_platform` may change. Notebooks begin with `recsys_platform.notebook.world.open_world`.
"""
