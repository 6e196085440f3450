"""How often Python looks for unreachable cycles of objects."""

import gc


def collect_garbage_rarely() -> None:
    """Let a process that imports Dagster or dbt look for garbage after 100,000 new objects instead of 700.

    Their modules, the manifest and the definitions are a million objects that all stay: walking them again and again takes a tenth
    of the time of a short command. Objects without cycles are freed at once as before.
    """
    gc.set_threshold(100_000, 10, 10)
