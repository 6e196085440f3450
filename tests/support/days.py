"""The day on which the records of tests land."""

import datetime as dt

DAY = dt.date(2026, 11, 20)
