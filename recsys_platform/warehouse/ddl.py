"""Schemas and the tables that Python writes; all others are dbt's."""

SCHEMAS = ("raw", "staging", "intermediate", "marts", "published", "ops")

TABLES = {
    "raw.engagement_events": """
        source varchar not null, object_key varchar not null, record_index bigint not null,
        landed_at timestamp not null, loaded_at timestamp not null, record json not null using compression zstd""",
    "raw.rejected_records": """
        source varchar not null, object_key varchar not null, record_index bigint not null,
        landed_at timestamp not null, loaded_at timestamp not null, payload varchar not null, reason varchar not null,
        corrected_by varchar""",
    "raw.user_attributes": """
        snapshot_date date not null, user_id varchar not null, object_key varchar not null,
        loaded_at timestamp not null, record json not null""",
    "raw.book_attributes": """
        snapshot_date date not null, book_id varchar not null, object_key varchar not null,
        loaded_at timestamp not null, record json not null""",
    "raw.pii_salt": "salt varchar not null",
    "ops.load_ledger": """
        object_key varchar not null, etag varchar not null, size_bytes bigint not null, records bigint not null,
        accepted bigint not null, rejected bigint not null, loaded_at timestamp not null""",
    "ops.model_builds": """
        model varchar not null, fingerprint varchar not null, loaded_to timestamp not null""",
    "ops.publications": """
        version varchar not null, table_name varchar not null, versioned_table varchar not null, row_count bigint not null,
        is_live boolean not null, published_at timestamp not null""",
    "ops.model_evaluations": """
        data_hash varchar not null, evaluated_at timestamp not null, model varchar not null, segment varchar not null,
        metric varchar not null, k integer not null, users bigint not null,
        value double, low double, high double, verb varchar, held_out varchar""",
    "ops.model_differences": """
        data_hash varchar not null, evaluated_at timestamp not null, model varchar not null, baseline varchar not null,
        segment varchar not null, metric varchar not null, users bigint not null,
        value double, low double, high double""",
    "ops.canary_steps": """
        step_id varchar not null, experiment varchar not null, version varchar not null, label varchar not null,
        stage integer not null, percent integer not null, status varchar not null, reason varchar not null,
        changed_by varchar not null, changed_at timestamp not null""",
    "ops.experiment_changes": """
        change_id varchar not null, changed_at timestamp not null, changed_by varchar not null, experiment varchar not null,
        action varchar not null, reason varchar not null, state_before varchar, state_after varchar not null""",
    "ops.experiment_ranges": """
        experiment varchar not null, variant varchar not null, salt varchar not null, first_bucket integer not null,
        last_bucket integer not null, valid_from timestamp, valid_to timestamp""",
    "ops.cost_of_runs": """
        usage_id varchar not null, run_id varchar, job varchar, step varchar, asset varchar, is_rebuild boolean not null,
        resource varchar not null, quantity double not null, used_on date not null, started_at timestamp, ended_at timestamp""",
}
ADDED_COLUMNS = (
    ("raw.rejected_records", "corrected_by varchar"),
    ("ops.model_evaluations", "verb varchar"),
    ("ops.model_evaluations", "held_out varchar"),
)
"""Columns that tables of an older warehouse lack."""
RENAMED_COLUMNS = (("ops.publications", "rows", "row_count"),)
"""Columns that have another name in an older warehouse."""
