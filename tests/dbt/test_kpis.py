"""What a metric says of the tables is what the scorecard says: one definition, computed in two ways."""

import datetime as dt
import random
from collections.abc import Iterator
from typing import Any

import pytest

FIRST = dt.datetime(2026, 9, 20, 10)
DAYS = 63
# Compares with a year before, which this world does not have; its unit test has one.
NEEDS_A_YEAR = {"revenue_growth"}


def tracked(chance: random.Random, key: str, user: str, event: str, day: float, **properties: Any) -> dict[str, Any]:
    """One call of Segment's, some of them by a crawler."""
    time = (FIRST + dt.timedelta(days=day)).isoformat()
    agent = {"userAgent": "Mozilla/5.0 (compatible; GoogleOther)"} if chance.random() < 0.05 else {}
    envelope = {"type": "track", "event": event, "messageId": f"{user} {key}", "userId": user, "timestamp": time}
    return {**envelope, "context": agent, "properties": properties}


def life_of(chance: random.Random, user: str) -> Iterator[dict[str, Any]]:
    """What one reader does: reads, rates the app, sees and clicks books, and perhaps pays by the month for a while."""
    for n in range(chance.randint(1, 12)):
        day, book, request = chance.uniform(0, DAYS), f"b{chance.randint(0, 5)}", f"r {user} {n}"
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
        yield from subscription_of(chance, user)


def subscription_of(chance: random.Random, user: str) -> Iterator[dict[str, Any]]:
    """Payments of one reader, the first of which may lie before history, and perhaps a cancellation."""
    bought = {"plan": "monthly", "price": chance.choice([9.99, 12.5]), "currency": chance.choice(["EUR", "usd"])}
    begin, months = chance.uniform(0, 30), chance.randint(1, 3)
    for n in range(months):
        name = "Subscription Started" if n == 0 and chance.random() < 0.7 else "Subscription Renewed"
        yield tracked(chance, f"p{n}", user, name, begin + 30 * n, **bought)
    if chance.random() < 0.4:
        yield tracked(chance, "x", user, "Subscription Cancelled", begin + 30 * months - 10, plan="monthly")


def measured(world: Any, manifest: Any, measure: str) -> dict[dt.date, float]:
    """A measure by month: the sum of its expression over the table of its semantic model."""
    [(model, found)] = [
        (m, each) for m in manifest.semantic_models.values() for each in m.measures if each.name == measure
    ]
    assert found.agg.value == "sum"
    [time] = [each for each in model.dimensions if each.name == model.defaults.agg_time_dimension]
    month = f"cast(date_trunc('month', {time.expr or time.name}) as date)"
    table = f"{model.node_relation.schema_name}.{model.node_relation.alias}"
    return dict(world.rows(f"select {month}, cast(sum({found.expr}) as double) from {table} group by all"))


def computed(world: Any, manifest: Any, name: str, month: dt.date) -> float | None:
    """A metric in a month, as its YAML says; None where nothing was told or there is nothing to divide by."""
    [metric] = [each for each in manifest.metrics.values() if each.name == name]
    if metric.type.value == "simple":
        return measured(world, manifest, metric.type_params.measure.name).get(month)
    parts = (metric.type_params.numerator.name, metric.type_params.denominator.name)
    numerator, denominator = (computed(world, manifest, part, month) for part in parts)
    return numerator / denominator if numerator is not None and denominator else None


# Builds all marts of half a thousand events: the scorecard reads nearly all of them.
@pytest.mark.slow
def test_the_scorecard_says_what_the_metrics_say(world: Any, manifest: Any) -> None:
    chance = random.Random(1)
    events = [event for n in range(60) for event in life_of(chance, f"u{n}")]
    world.load("segment", *events)
    world.build()
    rows = world.rows("select kpi, month_start, value from marts.rpt_kpi_scorecard where segment = 'all'")
    kpis = {metric.name for metric in manifest.metrics.values() if metric.config.meta.get("unit")}
    assert {kpi for kpi, _, value in rows if value is not None} == kpis - NEEDS_A_YEAR
    wrong = []
    for kpi, month, value in rows:
        expected = None if kpi in NEEDS_A_YEAR else computed(world, manifest, kpi, month)
        if (value or 0) != pytest.approx(expected or 0, abs=1e-6):
            wrong.append((kpi, month, value, expected))
    assert wrong == []
