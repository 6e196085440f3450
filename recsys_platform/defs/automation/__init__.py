"""When things run: conditions, job, sensors, schedules; running and telling from the command line."""
