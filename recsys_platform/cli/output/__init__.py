"""What the commands print: tables and sentences from the results of the packages."""
