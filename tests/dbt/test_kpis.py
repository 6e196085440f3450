"""What MetricFlow computes from the metrics is what the scorecard says: one definition, computed in two ways."""

import datetime as dt
import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.adapters.factory import get_adapter_by_type
from dbt.contracts.graph.semantic_manifest import SemanticManifest

FIRST = dt.datetime(2026, 9, 20, 10)
DAYS = 63

Values = dict[tuple[str, str, dt.date], float]
"""Value by KPI, segment and month."""


def tracked(chance: random.Random, key: str, user: str, event: str, day: float, **properties: Any) -> dict[str, Any]:
    """One call of Segment's, some of them by a crawler."""
    time = (FIRST + dt.timedelta(days=day)).isoformat()
    agent = {"userAgent": "Mozilla/5.0 (compatible; GoogleOther)"} if chance.random() < 0.05 else {}
    envelope = {"type": "track", "event": event, "messageId": f"{user} {key}", "userId": user, "timestamp": time}
    return {**envelope, "context": agent, "properties": properties}


def life_of(chance: random.Random, user: str, begin: float = 0) -> Iterator[dict[str, Any]]:
    """What one reader does from a day on: reads, rates the app, sees and clicks books, and perhaps pays by the month for a while."""
    for n in range(chance.randint(1, 12)):
        day, book, request = begin + chance.uniform(0, DAYS), f"b{chance.randint(0, 5)}", f"r {user} {n}"
        yield tracked(chance, f"s{n}", user, "Book Started", day, book_id=book)
        if chance.random() < 0.5:
            yield tracked(chance, f"f{n}", user, "Book Finished", day + 0.1, book_id=book)
        if chance.random() < 0.3:
            yield tracked(chance, f"a{n}", user, "App Rated", day, rating=chance.randint(1, 5), store="web")
        made = {"surface": chance.choice(["home", "search"]), "model": chance.choice(["popularity", "blend"])}
        shown = {"request_id": request, **made, "model_version": "v1", "experiment": "none", "variant": "none"}
        yield tracked(
            chance, f"v{n}", user, "Recommendations Viewed", day, items=[{"book_id": book, "position": 1}], **shown
        )
        if chance.random() < 0.4:
            late = chance.choice([0.1, 2.0])
            clicked = {"request_id": request, "book_id": book, "position": 1}
            yield tracked(chance, f"c{n}", user, "Recommendation Clicked", day + late, **clicked)
    if chance.random() < 0.7:
        yield from subscription_of(chance, user, begin + chance.uniform(0, 30))


def subscription_of(chance: random.Random, user: str, begin: float) -> Iterator[dict[str, Any]]:
    """Payments of one reader, the first of which may lie before history, and perhaps a cancellation."""
    bought = {"plan": "monthly", "price": chance.choice([9.99, 12.5]), "currency": chance.choice(["EUR", "usd"])}
    months = chance.randint(1, 3)
    for n in range(months):
        name = "Subscription Started" if n == 0 and chance.random() < 0.7 else "Subscription Renewed"
        yield tracked(chance, f"p{n}", user, name, begin + 30 * n, **bought)
    if chance.random() < 0.4:
        yield tracked(chance, "x", user, "Subscription Cancelled", begin + 30 * months - 10, plan="monthly")


def metricflow(manifest: Any) -> Any:
    """MetricFlow's engine over the metrics of the project and the warehouse that dbt built last."""
    from dbt_metricflow.cli.dbt_connectors.adapter_backed_client import AdapterBackedSqlClient
    from metricflow.engine.metricflow_engine import MetricFlowEngine
    from metricflow_semantics.model.dbt_manifest_parser import parse_manifest_from_dbt_generated_manifest
    from metricflow_semantics.model.semantic_manifest_lookup import SemanticManifestLookup

    written = SemanticManifest(manifest)._get_pydantic_semantic_manifest().json()
    lookup = SemanticManifestLookup(parse_manifest_from_dbt_generated_manifest(written))
    return MetricFlowEngine(lookup, AdapterBackedSqlClient(get_adapter_by_type("duckdb")))


def computed(engine: Any, kpis: Sequence[str], *segments: str) -> Values:
    """What MetricFlow says of KPIs by month, and by a dimension if one is given; without what is NULL."""
    from metricflow.engine.metricflow_engine import MetricFlowQueryRequest

    group_by = ["metric_time__month", *segments]
    table = engine.query(MetricFlowQueryRequest.create(metric_names=kpis, group_by_names=group_by)).result_df
    rows = [dict(zip(table.column_names, row, strict=True)) for row in table.rows]
    return {
        (kpi, row[segments[0]] if segments else "all", row["metric_time__month"].date()): float(row[kpi])
        for row in rows
        for kpi in kpis
        if row[kpi] is not None
    }


def scored(world: Any, kpis: Sequence[str], segmented_by: str) -> Values:
    """What the scorecard says of KPIs by month and segment; without what is NULL."""
    rows = world.rows(f"""
        select kpi, segment, month_start, value from marts.rpt_kpi_scorecard
        where segmented_by = '{segmented_by}' and value is not null""")
    return {(kpi, segment, month): value for kpi, segment, month, value in rows if kpi in kpis}


def a_year_of_events() -> Iterator[dict[str, Any]]:
    """Two months of sixty readers, and the same months a year before with twenty others."""
    chance = random.Random(1)
    for n in range(60):
        yield from life_of(chance, f"u{n}")
    for n in range(20):
        yield from life_of(chance, f"old{n}", begin=-365)


def without_base(world: Any, values: Values) -> Values:
    """Values without growth on a month that is not complete, which the scorecard alone leaves out."""
    rows = world.rows("select month_start from marts.rpt_kpi_scorecard where kpi = 'revenue' and is_complete")
    complete = {month for (month,) in rows}
    return {
        key: value
        for key, value in values.items()
        if key[0] != "revenue_growth" or key[2].replace(year=key[2].year - 1) in complete
    }


# Builds all marts of some thousand events: the scorecard reads nearly all of them.
@pytest.mark.slow
def test_the_scorecard_says_what_metricflow_says(world: Any, manifest: Any) -> None:
    world.load("segment", *a_year_of_events())
    world.build()
    months = [month for (month,) in world.rows("select distinct month_start from marts.rpt_kpi_scorecard")]
    kpis = {m.name: m.config.meta["source"] for m in manifest.metrics.values() if m.config.meta.get("unit")}
    ctr = "click_through_rate"
    of_readers = [name for name, source in kpis.items() if source == "events" and name != ctr]
    engine, said = metricflow(manifest), set()
    for asked, segmented_by, dimensions in (
        (list(kpis), "all", ()),
        (of_readers, "personalisation", ("reader_month__personalisation",)),
        ([ctr], "personalisation", ("exposure__personalisation",)),
        ([ctr], "surface", ("exposure__surface",)),
    ):
        theirs = without_base(world, computed(engine, asked, *dimensions))
        # Without a segment is what bots paid, which counts as 0.
        said |= {key[:2] for key in theirs if key[1]}
        ours = scored(world, asked, segmented_by)
        wrong = {
            key: (ours.get(key), theirs.get(key))
            for key in ours.keys() | theirs.keys()
            if key[2] in months and (ours.get(key) or 0) != pytest.approx(theirs.get(key) or 0, abs=1e-6)
        }
        assert wrong == {}
    DuckDBConnectionManager.close_all_connections()
    sides = {(kpi, side) for kpi in [*of_readers, ctr] for side in ("personalised", "not personalised")}
    assert said == {(kpi, "all") for kpi in kpis} | sides | {(ctr, "home"), (ctr, "search")}
