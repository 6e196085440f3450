"""Pages of the hub and dbt's docs reach the private site, and are answered there and nowhere else."""

from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
from starlette.testclient import TestClient

from infra.deployment import Deployment
from infra.settings import parameters
from recsys_platform.config.factories import site_of
from recsys_platform.config.settings import load_settings
from recsys_platform.defs.automation.outline import write_outline
from recsys_platform.defs.reports.kpi_page import kpi_page_asset
from recsys_platform.hub.local import FolderHub
from recsys_platform.hub.object_store import Hub
from recsys_platform.hub.s3 import S3Hub
from recsys_platform.reports.site import DBT_DOCS, page_of, publish_dbt_docs, publish_reports, site_app
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from tests.support.commands import said_by


@pytest.fixture(params=["a folder", "S3"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Hub:
    return (
        FolderHub(tmp_path / "site")
        if request.param == "a folder"
        else S3Hub(request.getfixturevalue("bucket"), "site")
    )


def write_docs(folder: Path) -> Path:
    folder.mkdir()
    for name in (*DBT_DOCS, "run_results.json"):
        (folder / name).write_text(f"the file {name}")
    return folder


def test_pages_of_the_hub_and_dbt_docs_are_found_from_the_first_page(site: Hub, hub: Hub, tmp_path: Path) -> None:
    for key in ("reports/kpis.html", "reports/evaluation.html", "reports/notes.json", "engagement_events/a.gz"):
        hub.put(key, key.encode())
    assert publish_reports(hub, site) == ["reports/evaluation.html", "reports/kpis.html"]
    assert publish_dbt_docs(write_docs(tmp_path / "docs"), site) == [f"dbt/{name}" for name in DBT_DOCS]
    with TestClient(site_app(replace(site))) as browser:  # type: ignore[type-var]  # a process of its own, with its own client
        first = browser.get("/")
        assert first.headers["content-type"].startswith("text/html")
        for key, title in (
            ("reports/kpis.html", "KPIs"),
            ("reports/evaluation.html", "Evaluation of models"),
            ("dbt/index.html", "Tables"),
        ):
            assert f'<a href="{key}">{title}' in first.text
        assert browser.get("/reports/kpis.html").text == "reports/kpis.html"
        assert browser.get("/dbt/").text == "the file index.html"
        assert browser.get("/dbt/manifest.json").headers["content-type"] == "application/json"
        assert browser.get("/healthz").text == "ok"
        for path in ("/dbt/run_results.json", "/engagement_events/a.gz", "/reports/notes.json", "/nothing"):
            assert browser.get(path).status_code == 404
        assert browser.post("/").status_code == 405


@pytest.mark.parametrize(
    "path", ["../secret", "a/../../secret", "/etc/passwd", ".hidden", "a//b", "a\\..\\b", "a\nb", "..", "%2e%2e/secret"]
)
def test_no_path_leads_out_of_the_site(path: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("a secret")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / ".hidden").write_text("a draft")
    assert page_of(FolderHub(tmp_path / "site"), path) is None


def test_a_world_has_its_site_in_a_folder_and_production_in_the_bucket_of_the_template(tmp_path: Path) -> None:
    assert site_of(load_settings({"RECSYS_HOME": str(tmp_path)})).where("index.html") == str(
        tmp_path / "site" / "index.html"
    )
    place = parameters(Deployment())["site"]
    found = site_of(load_settings({"RECSYS_HOME": str(tmp_path), "RECSYS_SITE": place}))
    assert found.where("index.html") == f"{place}/index.html"


def test_the_run_that_writes_the_kpi_page_publishes_all_pages(
    bucket: str, warehouse: DuckDBWarehouse, hub: Hub
) -> None:
    settings = load_settings({"RECSYS_HOME": str(warehouse.path.parent), "RECSYS_SITE": f"s3://{bucket}/site"})
    write_outline(
        settings, dg.Definitions(assets=[kpi_page_asset], resources=dict.fromkeys(("hub", "warehouse", "settings")))
    )
    hub.put("reports/evaluation.html", b"the evaluation")
    dg.materialize([kpi_page_asset], resources={"warehouse": warehouse, "settings": settings, "hub": hub})
    site = site_of(settings)
    assert site.get("reports/evaluation.html") == b"the evaluation"
    assert site.get("reports/kpis.html") == hub.get("reports/kpis.html")
    assert b"reports/kpis.html" in site.get("index.html")


@pytest.mark.slow
def test_the_command_publishes_dbts_docs_of_a_world(tmp_path: Path) -> None:
    """dbt itself, since the docs are its files."""
    warehouse = DuckDBWarehouse(tmp_path / "warehouse.duckdb")
    warehouse.prepare()
    code, said = said_by("site", "publish", home=tmp_path)
    assert (code, said) == (0, f"3 files published; the site begins at {tmp_path / 'site' / 'index.html'}")
    with TestClient(site_app(FolderHub(tmp_path / "site"))) as browser:
        assert "dbt" in browser.get("/dbt/").text
        nodes = browser.get("/dbt/manifest.json").json()["nodes"]
        assert "model.recsys.fct_interactions" in nodes
