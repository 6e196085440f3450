"""The options of `recsys import`, which describe the user's own files.

Belongs here: names and help. Does not: what the values mean (sources/file_options.py).
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
        help="A column that is named differently in your files: user_id=userId; books.author=writer for one file only. "
        "With --no-header, the number of the column.",
    ),
]
BookColumns = Annotated[
    list[str] | None, typer.Option(metavar="OURS=THEIRS", help="Short for --column books.OURS=THEIRS.")
]
NoHeader = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE", help="interactions, books or users: the file has no header line; columns are 1, 2, 3, …"
    ),
]
RatingScale = Annotated[
    str | None, typer.Option(metavar="LOWEST:HIGHEST", help="Lowest and highest rating, if not 1:5.")
]
Unrated = Annotated[float | None, typer.Option(help="Rating value that means `not rated`, e.g. 0.")]
DecimalComma = Annotated[bool, typer.Option("--decimal-comma", help="Ratings are written with a comma: 4,5.")]
TimeFormats = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FORMAT",
        help="Format of times other than ISO 8601 and Unix time: '%d.%m.%Y %H:%M', %Y%m%d; seconds or milliseconds since another "
        "start; published_at=%m/%d/%Y for one column.",
    ),
]
LastDay = Annotated[
    dt.datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Shift all times so that the newest is on this day.")
]
Events = Annotated[
    list[str] | None,
    typer.Option(
        metavar="THEIRS=OURS",
        help="The event name here for one of yours: 'click=Book Viewed'; an empty name (click=) leaves its rows out.",
    ),
]
Encoding = Annotated[str, typer.Option(help="Encoding of files that are not UTF-8, e.g. latin-1.")]
Date = Annotated[
    dt.datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Day of the snapshots; default: yesterday.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show how the files are read, and write nothing.")]
