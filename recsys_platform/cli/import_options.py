"""The options of `recsys replay`, which says what somebody's own files hold.

Belongs here: names and help. Does not: what the values mean (events/reading.py).
"""

import datetime as dt
from pathlib import Path
from typing import Annotated

import typer

Interactions = Annotated[
    Path, typer.Option(help="Your interactions: user_id, book_id[, timestamp][, rating][, event].")
]
Books = Annotated[Path, typer.Option(help="Your books: book_id and any of title, author, language, categories, …")]
Users = Annotated[Path | None, typer.Option(help="Your users: user_id and any of country, language, tier, …")]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        metavar="OURS=THEIRS",
        help="Where a column is named otherwise, in whichever of the files has it: user_id=userId; books.author=writer for "
        "one file alone. With --no-header the number of the column.",
    ),
]
BookColumns = Annotated[
    list[str] | None, typer.Option(metavar="OURS=THEIRS", help="The same as --column books.OURS=THEIRS.")
]
NoHeader = Annotated[
    list[str] | None,
    typer.Option(metavar="FILE", help="interactions, books or users: line 1 is data, the columns are 1, 2, 3, …"),
]
RatingScale = Annotated[
    str | None, typer.Option(metavar="LOWEST:HIGHEST", help="The scale of your ratings, if not 1:5.")
]
Unrated = Annotated[float | None, typer.Option(help="The rating that means that there is none, e.g. 0.")]
DecimalComma = Annotated[bool, typer.Option("--decimal-comma", help="Ratings are written as 4,5.")]
TimeFormats = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FORMAT",
        help="How times are written, if neither ISO 8601 nor since 1970: '%d.%m.%Y %H:%M', %Y%m%d; seconds or milliseconds since "
        "another start; published_at=%m/%d/%Y for another column.",
    ),
]
LastDay = Annotated[
    dt.datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Move all times so that the last is on this day.")
]
Events = Annotated[
    list[str] | None,
    typer.Option(
        metavar="THEIRS=OURS",
        help="What an event of yours is here: 'click=Book Viewed'; nothing after the sign leaves its rows out.",
    ),
]
Encoding = Annotated[str, typer.Option(help="Of files that are not UTF-8, e.g. latin-1.")]
Date = Annotated[
    dt.datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Day of the snapshots; default: yesterday.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what is taken for what, and write nothing.")]
