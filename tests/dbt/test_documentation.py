"""The documentation is whole: analysts read it, and so does the lineage of the platform."""

import json
from typing import Any

import pytest

from recsys_platform.transform.dbt_docs import without_unit_tests

BUILT = {"model", "seed", "snapshot"}
READ_BY_ANALYSTS = {"marts", "published", "raw", "ops"}


@pytest.fixture(scope="module")
def catalog(new_world: Any) -> dict[str, Any]:
    """What `dbt docs generate` finds in a built warehouse."""
    world = new_world().build()
    assert world.dbt("docs", "generate").success
    catalog: dict[str, Any] = json.loads((world.target / "catalog.json").read_text())
    return {**catalog["nodes"], **catalog["sources"]}


def relations(manifest: Any) -> list[Any]:
    nodes = [node for node in manifest.nodes.values() if node.resource_type in BUILT]
    return [*nodes, *manifest.sources.values()]


@pytest.mark.slow
def test_every_column_that_exists_is_described_and_no_other_is(manifest: Any, catalog: dict[str, Any]) -> None:
    for node in relations(manifest):
        if node.schema == "intermediate" or node.unique_id not in catalog:
            continue  # steps on the way describe what they add; published tables do not exist yet
        described = {column.name for column in node.columns.values() if column.description.strip()}
        assert described == {name.lower() for name in catalog[node.unique_id]["columns"]}, node.unique_id


def test_every_column_of_marts_and_sources_has_a_type(manifest: Any) -> None:
    columns = [
        (n.name, c.name, c.data_type)
        for n in relations(manifest)
        if n.schema in READ_BY_ANALYSTS
        for c in n.columns.values()
    ]
    assert len(columns) > 100
    assert [column for column in columns if not column[2]] == []


def test_marts_are_contracted(manifest: Any) -> None:
    marts = [node for node in manifest.nodes.values() if node.resource_type == "model" and node.schema == "marts"]
    assert len(marts) == 27
    assert all(node.config.contract.enforced for node in marts)


def tagged(manifest: Any, tag: str) -> set[tuple[str, str]]:
    """(schema, column) of every column with a tag."""
    return {
        (f"{node.schema}.{node.name}", column.name)
        for node in relations(manifest)
        for column in node.columns.values()
        if tag in column.config.tags
    }


def test_columns_with_personal_data_are_in_raw_and_nowhere_else(manifest: Any) -> None:
    assert tagged(manifest, "pii") == {
        ("raw.engagement_events", "record"),
        ("raw.rejected_records", "payload"),
        ("raw.user_attributes", "record"),
        ("raw.pii_salt", "salt"),
    }


def test_every_column_that_can_hold_personal_data_says_so_twice(manifest: Any) -> None:
    said = {
        (f"{node.schema}.{node.name}", column.name)
        for node in relations(manifest)
        for column in node.columns.values()
        if {"contains_personal_data", "secret"} & column.config.meta.keys()
    }
    assert said == tagged(manifest, "pii")


def test_every_hash_of_an_address_is_tagged_pseudonymous(manifest: Any) -> None:
    hashes = {
        (f"{node.schema}.{node.name}", column.name)
        for node in relations(manifest)
        for column in node.columns.values()
        if column.name in {"email_hash", "ip_hash"}
    }
    assert len(hashes) >= 5
    assert hashes <= tagged(manifest, "pseudonymous")


def test_sources_carry_their_asset_keys(manifest: Any) -> None:
    keys = {source.name: source.config.meta["dagster"].get("asset_key") for source in manifest.sources.values()}
    assert keys == {source.name: [source.schema, source.name] for source in manifest.sources.values()}


def test_unit_tests_are_sentences(manifest: Any) -> None:
    assert len(manifest.unit_tests) > 20
    assert [test.name for test in manifest.unit_tests.values() if test.name.count("_") < 3] == []


@pytest.mark.parametrize(
    ("word", "kpi"),
    [
        ("retention", "customer_retention"),
        ("conversion", "premium_conversion"),
        ("CTR", "click_through_rate"),
        ("churn", "subscriber_churn"),
    ],
)
def test_who_searches_the_docs_for_a_kpi_finds_its_one_definition(manifest: Any, word: str, kpi: str) -> None:
    """The search of dbt's docs looks into names, labels and descriptions."""
    word = word.lower()
    kpis = [metric for metric in manifest.metrics.values() if metric.config.meta.get("unit")]
    assert [metric.name for metric in kpis if word in metric.label.lower()] == [kpi]
    found = {node.name for node in relations(manifest) if word in node.description.lower()}
    assert "rpt_kpi_scorecard" in found
    assert word in manifest.docs["doc.recsys.__overview__"].block_contents.lower()


def test_exposures_have_an_owner_and_the_overview_greets_analysts(manifest: Any) -> None:
    owners = {exposure.name: exposure.owner.email for exposure in manifest.exposures.values()}
    assert {"recommendation_api", "reading_activity_dashboard"} <= owners.keys()
    assert all(str(email).endswith("@example.com") for email in owners.values())
    assert "Where to start" in manifest.docs["doc.recsys.__overview__"].block_contents


def test_the_lineage_that_people_see_holds_no_unit_test() -> None:
    manifest = {
        "nodes": {"model.a": {}},
        "unit_tests": {"unit_test.t": {}},
        "parent_map": {"model.a": ["source.s"], "unit_test.t": ["model.a"]},
        "child_map": {"model.a": ["unit_test.t", "model.b"], "unit_test.t": []},
    }
    assert without_unit_tests(manifest) == {
        "nodes": {"model.a": {}},
        "unit_tests": {},
        "parent_map": {"model.a": ["source.s"]},
        "child_map": {"model.a": ["model.b"]},
    }
