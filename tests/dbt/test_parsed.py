"""What dbt found in the project is handed to it again as long as it would find the same."""

import os
from dataclasses import replace
from pathlib import Path

import dbt.adapters.duckdb
import pytest
from dbt.contracts.graph.manifest import Manifest
from dbt.parser.manifest import extended_mashumaro_encoder

from recsys_platform.transform.dbt import ROOT, cached_manifest, is_stale


@pytest.fixture
def parsed(manifest: Manifest, tmp_path: Path) -> Path:
    file = tmp_path / "partial_parse.msgpack"
    file.write_bytes(manifest.to_msgpack(extended_mashumaro_encoder))
    return file


def test_every_duckdb_file_gets_what_was_parsed_for_another(parsed: Path, manifest: Manifest) -> None:
    found = cached_manifest(parsed, "local")
    assert found is not None
    assert found.nodes.keys() == manifest.nodes.keys()
    assert {name: node.depends_on_nodes for name, node in found.nodes.items()} == {
        name: node.depends_on_nodes for name, node in manifest.nodes.items()
    }


def test_macros_see_the_same_project(parsed: Path, manifest: Manifest) -> None:
    found = cached_manifest(parsed, "local")
    manifest.build_flat_graph()
    assert found is not None
    assert found.flat_graph == manifest.flat_graph != {}


def test_snowflake_whose_database_is_part_of_it_does_not(parsed: Path) -> None:
    assert cached_manifest(parsed, "aws") is None


def test_a_project_that_was_never_parsed_or_has_changed_since_is_parsed(parsed: Path, tmp_path: Path) -> None:
    assert cached_manifest(tmp_path / "nothing", "local") is None
    newest = max(file.stat().st_mtime for file in ROOT.rglob("*.sql") if "target" not in file.parts)
    os.utime(parsed, (newest - 1, newest - 1))
    assert cached_manifest(parsed, "local") is None


@pytest.mark.parametrize("other", [{"adapter_type": "snowflake"}, {"dbt_version": "1.10.0"}])
def test_what_another_adapter_or_another_dbt_found_is_not_taken(
    parsed: Path, manifest: Manifest, other: dict[str, str]
) -> None:
    parsed.write_bytes(
        replace(manifest, metadata=replace(manifest.metadata, **other)).to_msgpack(extended_mashumaro_encoder)
    )
    assert cached_manifest(parsed, "local") is None


def test_what_was_found_in_a_project_that_has_moved_is_not_taken(parsed: Path) -> None:
    here = str(ROOT).encode()
    parsed.write_bytes(parsed.read_bytes().replace(here, here[:-1] + b"_"))
    assert cached_manifest(parsed, "local") is None


def test_a_file_that_went_or_was_renamed_is_noticed(parsed: Path) -> None:
    scratch = ROOT / "macros" / "renamed_by_a_test.txt"  # nothing that dbt reads
    before = ROOT.joinpath("macros").stat()
    try:
        scratch.touch()
        os.utime(scratch.parent, (parsed.stat().st_mtime + 1,) * 2)
        assert cached_manifest(parsed, "local") is None
    finally:
        scratch.unlink()
        os.utime(scratch.parent, (before.st_atime, before.st_mtime))


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_what_was_written_in_part_is_not_taken(parsed: Path, share: float) -> None:
    whole = parsed.read_bytes()
    parsed.write_bytes(whole[: int(share * len(whole))])
    assert cached_manifest(parsed, "local") is None


def test_what_was_parsed_before_an_adapter_was_installed_is_not_taken(parsed: Path) -> None:
    [adapter] = Path(dbt.adapters.duckdb.__file__).parents[3].glob("dbt_duckdb-*.dist-info")
    installed = adapter.stat().st_mtime
    os.utime(parsed, (installed - 1, installed - 1))
    assert is_stale(parsed, sources=())
