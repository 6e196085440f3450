"""What dbt-project-evaluator asks of a project, held over the manifest; each exception stands here with its reason."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

GRAIN = "One row per "
BUILT = {"model", "seed", "snapshot"}
# Not as the evaluator has it: staging has no folder a source, since all five models read the one source `raw`, and their names say
# which tracker or attribute; and reports (`rpt_`) are marts, contracted and documented like facts and dimensions.
PREFIXES = {"staging": ("stg_",), "intermediate": ("int_",), "marts": ("fct_", "dim_", "rpt_")}

READS_A_SOURCE = {
    "rpt_event_conservation": "counts accepted records where they were loaded: a count of staging would not show what staging lost",
    "fct_costs": "what runs used is written ready to be priced: staging would only repeat it",
}
EXPOSED_SOURCES = {
    "raw.rejected_records": "a rejected record is in no model: it could not be read",
    "ops.load_ledger": "what was loaded and when is a fact of the loader; no model changes it",
    "published.user_recommendations": "written by Python after the marts (docs/decisions/0001)",
    "published.similar_books": "likewise",
    "published.popular_books": "likewise",
    "published.model_roles": "likewise",
}
ANOTHER_KEY_TEST = {
    "event_weights": "the key has a NULL: events without stars",
    "dim_users_history": "the key is unique among open versions, and `version_id` among recent ones",
    "dim_books_history": "likewise",
}
"""Tables whose key is tested for being unique, and not for being there in all columns."""


def of_kind(manifest: Any, *kinds: str) -> list[Any]:
    return [node for node in manifest.nodes.values() if node.resource_type in kinds]


@pytest.fixture(scope="module")
def data_tests(manifest: Any) -> dict[str, list[Any]]:
    """The generic tests on each node, by its id."""
    found = defaultdict(list)
    for test in of_kind(manifest, "test"):
        if getattr(test, "test_metadata", None):
            found[test.attached_node].append(test)
    return found


def has_primary_key(node: Any, tests: list[Any]) -> bool:
    """Whether a test of the key is there: `primary_key`, or `unique` and not null on one column."""
    names = {(test.test_metadata.name, test.column_name) for test in tests}
    constrained = {c.name for c in node.columns.values() for rule in c.constraints if rule.type == "not_null"}
    unique = {column for name, column in names if name == "unique"}
    filled = {column for name, column in names if name == "not_null"} | constrained
    return any(name == "primary_key" for name, _ in names) or bool(unique & filled)


def test_every_description_begins_with_the_grain(manifest: Any) -> None:
    nodes = [*of_kind(manifest, *BUILT), *manifest.sources.values()]
    assert [node.unique_id for node in nodes if not node.description.startswith(GRAIN)] == []


def test_every_model_seed_and_snapshot_has_a_test_of_its_primary_key(manifest: Any, data_tests: Any) -> None:
    untested = {n.name for n in of_kind(manifest, *BUILT) if not has_primary_key(n, data_tests[n.unique_id])}
    assert untested == {"event_weights"}
    unique = {"unique", "unique_combination_of_columns"}
    for node in of_kind(manifest, *BUILT):
        if node.name in ANOTHER_KEY_TEST:
            assert unique & {test.test_metadata.name for test in data_tests[node.unique_id]}, node.name


def test_a_primary_key_names_columns_that_are_there_to_describe(manifest: Any, data_tests: Any) -> None:
    for node in of_kind(manifest, "model"):
        described = set(node.columns)
        keys = [t for t in data_tests[node.unique_id] if t.test_metadata.name == "primary_key"]
        if node.schema != "intermediate":
            assert all(set(test.test_metadata.kwargs["columns"]) <= described for test in keys), node.name


def test_every_source_has_a_freshness_or_says_why_not(manifest: Any) -> None:
    silent = [
        source.name
        for source in manifest.sources.values()
        if not (source.freshness and source.freshness.warn_after and source.freshness.warn_after.count)
        and not source.config.meta.get("freshness")
    ]
    assert silent == []


def test_only_staging_reads_sources(manifest: Any) -> None:
    readers = {
        node.name
        for node in of_kind(manifest, "model", "snapshot")
        if any(parent.startswith("source.") for parent in node.depends_on.nodes) and not node.name.startswith("stg_")
    }
    assert readers == set(READS_A_SOURCE)


def test_an_exposure_reads_models_and_sources_that_are_no_model_of_dbt(manifest: Any) -> None:
    sources = manifest.sources
    read = {
        f"{sources[parent].schema}.{sources[parent].name}"
        for exposure in manifest.exposures.values()
        for parent in exposure.depends_on.nodes
        if parent in sources
    }
    assert read == set(EXPOSED_SOURCES)


def test_no_staging_model_reads_another_model(manifest: Any) -> None:
    parents = {
        parent
        for node in of_kind(manifest, "model")
        if node.name.startswith("stg_")
        for parent in node.depends_on.nodes
    }
    assert {parent.split(".")[0] for parent in parents} == {"source"}


def test_every_model_lies_in_the_folder_and_the_schema_of_its_prefix(manifest: Any) -> None:
    for node in of_kind(manifest, "model"):
        folder = Path(node.original_file_path).parent.name
        assert node.name.startswith(PREFIXES[folder]), node.name
        assert node.schema == folder, node.name


def test_a_staging_model_is_named_after_its_source(manifest: Any) -> None:
    trackers = {"segment": "engagement_events", "pinpoint": "engagement_events", "matomo": "engagement_events"}
    for node in of_kind(manifest, "model"):
        if node.name.startswith("stg_"):
            group, entity = node.name.removeprefix("stg_").split("__")
            expected = trackers.get(group) or f"{entity.removesuffix('s')}_attributes"
            assert f"source.recsys.raw.{expected}" in node.depends_on.nodes, node.name


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "fails"), [("('a', 1), ('a', 2)", 0), ("('a', 1), ('a', 1)", 1), ("('a', null)", 1)])
def test_a_key_that_repeats_or_lacks_a_part_is_found(world: Any, rows: str, fails: int) -> None:
    world.build("--select", "event_names")
    with world.connect() as con:
        con.execute("delete from staging.event_names")
        con.execute(f"insert into staging.event_names select x, y, 'Book Viewed' from (values {rows}) as t (x, y)")
    [result] = world.dbt("test", "--select", "event_names,test_name:primary_key").result.results
    assert (result.failures or 0) == fails
