"""The record formats of the trackers: Segment, Amazon Pinpoint and Matomo records as JSON text.

DuckDB writes the text from Arrow columns, one chunk at a time. Names in SQL that begin with a capital letter are the trackers' own.

Belongs here: record formats. Does not: events (behaviour.py), arrival times and flaws (delivery.py).
"""

from collections.abc import Sequence
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from recsys_platform.hub.layout import Source
from recsys_platform.simulation.vocabulary import ADJECTIVES, CATEGORIES, COUNTRIES, NOUNS, PLATFORMS
from recsys_platform.simulation.world import Ints, Table, World

# In the order of behaviour.Action.
EVENT_NAMES = (
    "Book Viewed",
    "Book Started",
    "Chapter Completed",
    "Book Finished",
    "Book Saved",
    "Book Removed",
    "Book Rated",
    "Books Searched",
    "Subscription Started",
    "Subscription Renewed",
    "Subscription Cancelled",
    "App Rated",
    "User Signed In",
    "Page",
)
QUERIES = (*CATEGORIES, *(f"{adjective} {noun}".lower() for adjective in ADJECTIVES for noun in NOUNS))
STORES = ("web", "app_store", "google_play")
PLANS = ("monthly", "yearly")
YEAR_FOR_MONTHS = 8  # a year costs as much as so many months

_NAMED = """
with named as (
    select
        *,
        'b' || lpad((book + 1)::varchar, 5, '0') as book_id,
        'u' || lpad((reader + 1)::varchar, 7, '0') as known_id,
        if(signed_in, known_id, null) as user_id,
        md5('device ' || salt || ' ' || reader || ' ' || platform) as device,
        '198.51.' || (reader // 254) % 256 || '.' || 1 + reader % 254 as ip,
        if(reader % 40 = 7, ((reader * 37) % 7200 - 3600) * 1000, 0) as skew,
        50 + seq % 150 as lag
    from batch
)
"""

_SEGMENT = """
select case kind
    when 'track' then to_json({type: 'track', event: event, messageId: message_id, userId: user_id, anonymousId: anonymous_id,
        originalTimestamp: original, sentAt: sent, receivedAt: received_at, "timestamp": happened,
        context: context, properties: properties})
    when 'identify' then to_json({type: 'identify', messageId: message_id, userId: user_id, anonymousId: anonymous_id,
        originalTimestamp: original, sentAt: sent, receivedAt: received_at, "timestamp": happened, context: context,
        traits: {email: known_id || '@readers.example', plan: tier}})
    else to_json({type: kind, name: 'Library', messageId: message_id, userId: user_id, anonymousId: anonymous_id,
        originalTimestamp: original, sentAt: sent, receivedAt: received_at, "timestamp": happened,
        context: context, properties: '{}'::json})
end::varchar as record
from (
    select
        *,
        case event when 'User Signed In' then 'identify' when 'Page' then if(os = 'web', 'page', 'screen') else 'track' end as kind,
        md5('message ' || salt || ' ' || seq)::uuid::varchar as message_id,
        device::uuid::varchar as anonymous_id,
        strftime(make_timestamp_ms(at_ms + skew), '%Y-%m-%dT%H:%M:%S.%gZ') as original,
        strftime(make_timestamp_ms(received - lag + skew), '%Y-%m-%dT%H:%M:%S.%gZ') as sent,
        strftime(make_timestamp_ms(received), '%Y-%m-%dT%H:%M:%S.%gZ') as received_at,
        -- received - (sent - original), as Segment has it
        strftime(make_timestamp_ms(at_ms + lag), '%Y-%m-%dT%H:%M:%S.%gZ') as happened,
        {locale: locale, ip: ip, app: {name: 'Summaries', version: '5.2.0'}, device: {type: os},
            library: {name: if(os = 'web', 'analytics.js', 'analytics-' || os), version: '4.1.0'}} as context,
        case
            when event = 'Chapter Completed' then to_json({book_id: book_id, chapter: detail, chapters: chapters})
            when event = 'Book Rated' then to_json({book_id: book_id, rating: rating})
            when book >= 0 then to_json({book_id: book_id})
            when event = 'Books Searched' then to_json({query: query})
            when event = 'App Rated' then to_json({rating: rating, store: store})
            when event = 'Subscription Cancelled' then to_json({plan: plan})
            when event like 'Subscription %' then to_json({plan: plan, price: price, currency: currency})
            else '{}'::json
        end as properties
    from named
)
"""

_PINPOINT = """
select to_json({
    event_type: lower(replace(event, ' ', '_')), event_timestamp: at_ms, arrival_timestamp: received, event_version: '3.1',
    application: {app_id: '5f3c0d9e8b7a46d1a2c4e6f801234567', sdk: {name: 'aws-sdk-mobile-analytics-' || os, version: '2.4.8'},
        package_name: 'example.summaries', title: 'Summaries', version_name: '4.9.1', version_code: '491'},
    client: {client_id: device::uuid::varchar, cognito_id: 'eu-west-1:' || md5('cognito ' || device)::uuid::varchar},
    device: {locale: {code: replace(locale, '-', '_'), country: country, "language": language},
        make: if(os = 'ios', 'apple', 'generic'), model: if(os = 'ios', 'iPhone', 'Android'),
        platform: {name: os, version: if(os = 'ios', '18.1', '15')}},
    session: {session_id: left(device, 8) || '-' || session_at, start_timestamp: session_at},
    attributes: case
        when book >= 0 then to_json({book_id: book_id})
        when event = 'Books Searched' then to_json({query: query})
        when event = 'App Rated' then to_json({store: store})
        when event = 'Subscription Cancelled' then to_json({plan: plan})
        when event like 'Subscription %' then to_json({plan: plan, currency: currency})
        else '{}'::json
    end,
    metrics: case
        when event = 'Chapter Completed' then to_json({chapter: detail::double, chapters: chapters::double})
        when event in ('Book Rated', 'App Rated') then to_json({rating: rating::double})
        when event in ('Subscription Started', 'Subscription Renewed') then to_json({price: price})
        else '{}'::json
    end,
    endpoint: if(signed_in, to_json({EndpointStatus: 'ACTIVE', "User": {UserId: user_id}}), to_json({EndpointStatus: 'ACTIVE'})),
    awsAccountId: '000000000000'
})::varchar as record
from named
"""

# Keys that may be absent follow those that never are; values are strings, as tracking parameters are.
_MATOMO = """
select
    rtrim(to_json({
        idsite: '1', rec: '1', url: 'https://app.example/' || page, action_name: event, _id: left(device, 16),
        rand: (hash(salt || ' ' || seq) % 1000000000)::varchar, cdt: (at_ms // 1000)::varchar,
        ua: 'Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0', lang: locale, cip: ip
    })::varchar, '}')
    || if(signed_in, ',"uid":"' || user_id || '",', ',')
    || ltrim((case
        when event = 'Books Searched' then to_json({search: query})
        when event = 'Chapter Completed'
            then to_json({e_c: category, e_a: done, e_n: book_id, e_v: detail::varchar, dimension1: chapters::varchar})
        when event = 'Book Rated' then to_json({e_c: category, e_a: done, e_n: book_id, e_v: rating::varchar})
        when book >= 0 then to_json({e_c: category, e_a: done, e_n: book_id})
        when event = 'App Rated' then to_json({e_c: category, e_a: done, e_v: rating::varchar, dimension4: store})
        when event in ('Subscription Started', 'Subscription Renewed')
            then to_json({e_c: category, e_a: done, e_v: price::varchar, dimension2: plan, dimension3: currency})
        when event = 'Subscription Cancelled' then to_json({e_c: category, e_a: done, dimension2: plan})
        else to_json({e_c: category, e_a: done})
    end)::varchar, '{') as record
from (
    select
        *,
        split_part(event, ' ', 1) as category,
        substr(event, length(category) + 2) as done,
        case when book >= 0 then 'books/' || book_id when event = 'Books Searched' then 'search' else '' end as page
    from named
)
"""

_RECORDS: dict[Source, str] = {"segment": _NAMED + _SEGMENT, "pinpoint": _NAMED + _PINPOINT, "matomo": _NAMED + _MATOMO}


def records_of(connection: duckdb.DuckDBPyConnection, world: World, events: Table, *, source: Source) -> pa.Array:
    """The JSON text of each event as one tracker sends it, in the same order (Arrow strings without nulls).

    `events` has the columns of behaviour.EVENT and `received` (milliseconds).
    """
    connection.register("batch", _batch_columns(world, events))
    try:
        found = connection.sql(_RECORDS[source]).to_arrow_table()
    finally:
        connection.unregister("batch")
    return found.column("record").combine_chunks().cast(pa.large_string())


def _batch_columns(world: World, events: Table) -> pa.Table:
    """The columns that the SQL above reads."""
    readers = world.readers[events["reader"]]
    prices = np.array([country.price for country in COUNTRIES])[readers["country"]]
    numbers = {name: pa.array(np.ascontiguousarray(events[name])) for name in _NUMBERS}
    chapters = world.books["chapters"][events["book"]] if len(world.books) else np.zeros(len(events), dtype=np.int16)
    return pa.table(
        numbers
        | {
            "at_ms": pa.array(np.ascontiguousarray(events["at"])),
            "salt": _pick_names(np.zeros(len(events)), [str(world.spec.seed)]),
            "chapters": pa.array(chapters),
            "price": pa.array(np.round(prices * np.where(readers["yearly"], YEAR_FOR_MONTHS, 1), 2)),
            "event": _pick_names(events["action"], EVENT_NAMES),
            "query": _pick_names(events["detail"] % len(QUERIES), QUERIES),
            "os": _pick_names(events["platform"], PLATFORMS),
            "store": _pick_names(events["platform"], STORES),
            "plan": _pick_names(readers["yearly"], PLANS),
            "tier": _pick_names(_premium_at(world, readers, events["at"]), ("free", "premium")),
            "country": _pick_names(readers["country"], [country.code for country in COUNTRIES]),
            "language": _pick_names(readers["country"], [country.language for country in COUNTRIES]),
            "locale": _pick_names(readers["country"], [f"{country.language}-{country.code}" for country in COUNTRIES]),
            "currency": _pick_names(readers["country"], [country.currency for country in COUNTRIES]),
        }
    )


_NUMBERS = ("seq", "session_at", "received", "reader", "book", "detail", "rating", "platform", "signed_in")


def _premium_at(world: World, readers: Table, at: Ints) -> np.ndarray[Any, np.dtype[np.bool_]]:
    day = (at - world.spec.start_ms) // 86_400_000
    return np.asarray((readers["premium_day"] <= day) & (day < readers["cancel_day"]))


def _pick_names(index: np.ndarray[Any, Any], values: Sequence[str]) -> pa.Array:
    """A column of strings, each picked by its index."""
    return pa.DictionaryArray.from_arrays(pa.array(index.astype(np.int32)), pa.array(values))
