"""When assets run: automation conditions, jobs, sensors, schedules; and running them from the command line."""
