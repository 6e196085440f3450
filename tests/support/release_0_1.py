"""The tables that Python writes as release 0.1.0 made them, for tests of the way forward and back."""

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
}
