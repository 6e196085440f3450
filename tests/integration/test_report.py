"""`recsys report` and the asset `reports/kpi_page` on marts made by hand, and how the page looks in Chromium."""

import datetime as dt
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from recsys_platform.config.factories import hub_of, prepare_home
from recsys_platform.config.settings import Settings, load_settings
from recsys_platform.defs.automation.outline import write_outline
from recsys_platform.defs.reports.kpi_page import collect_content, kpi_page_asset
from recsys_platform.experiments.statistics.decision import Verdict
from recsys_platform.reports.kpi_page.charts import Rule, Series, bar_chart, line_chart, sparkline
from recsys_platform.reports.kpi_page.content import (
    Experiments,
    ExperimentSummary,
    FinishedRun,
    LayerState,
    PipelineState,
)
from recsys_platform.reports.kpi_page.page import KINDS_OF_VERDICTS, KPI_PAGE, kpi_page
from recsys_platform.reports.kpi_page.pipeline import cost_section
from recsys_platform.reports.kpi_page.scorecard import ACTIVE, SCORECARD, readers_section, scorecard_section
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from recsys_platform.warehouse.duckdb.reading_copy import write_reading_copy
from tests.support.browser import CHROMIUM, MISSING, Browser
from tests.support.kpi_page_worlds import EVIL, EXPERIMENTS, NOW, statements

CSS = (Path(__file__).parents[2] / "recsys_platform" / "reports" / "templates" / "kpi_page.css").read_text()
VOID = {"meta", "link", "br", "img", "input", "hr"}
SELF_CLOSED = {"path", "line", "circle", "rect"}


class Parsed(HTMLParser):
    """A page's elements with their attributes, in order, and its visible text; tags that do not match are an error."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in SELF_CLOSED
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] != ["style"]:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]


def prepare(home: Path) -> Settings:
    """An empty world whose definitions are those of one asset: to load all of them takes seconds."""
    settings = load_settings({"RECSYS_HOME": str(home)})
    prepare_home(settings)
    write_experiments(settings, EXPERIMENTS)
    return settings


def write_experiments(settings: Settings, text: str) -> None:
    settings.config_folder.mkdir(exist_ok=True)
    (settings.config_folder / "experiments.yaml").write_text(text, encoding="utf-8")
    resources = dict.fromkeys(("hub", "warehouse", "settings"), settings)
    write_outline(settings, dg.Definitions(assets=[kpi_page_asset], resources=resources))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("RECSYS_HOME", str(tmp_path / "home"))
    return prepare(tmp_path / "home")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The world of kpi_page_worlds, made once for the tests that only read it."""
    settings = prepare(tmp_path_factory.mktemp("filled") / "home")
    warehouse = DuckDBWarehouse(settings.warehouse_path)
    warehouse.prepare()
    with warehouse.connect() as con:
        for statement in statements():
            con.execute(statement)
        con.execute(
            "insert into raw.rejected_records values ('segment', 'a', 1, now()::timestamp, now()::timestamp, '{}', ?, null)",
            [EVIL],
        )
    return settings


@pytest.fixture
def world(filled: Settings, home: Settings) -> Settings:
    """A copy of it, named by RECSYS_HOME."""
    shutil.copy(filled.warehouse_path, home.warehouse_path)
    return home


STATE = PipelineState(
    layers=[LayerState("intermediate", NOW, 10, 0), LayerState("experiments", None, 1, 1)],
    failed_checks=["marts/rpt_catalog_coverage:the_choice_of_books_does_not_narrow"],
    runs=[FinishedRun(NOW, 90, is_failed=False), FinishedRun(NOW - dt.timedelta(days=2), 30, is_failed=True)],
    days=30,
)


@pytest.fixture(scope="module")
def page(filled: Settings) -> str:
    return kpi_page(collect_content(filled, DuckDBWarehouse(filled.warehouse_path), STATE, NOW))


KNOWN = (
    "2 of 2 KPIs with a target and a value are on target in October 2026. Without a value: Cost to revenue.",
    "Customer retention 50.0% Oct 2026 a year before 47.5% ≥ 40.0% ✓ on target",
    "Cost to revenue not reported Oct 2026 ? not reported",
    "Click-through rate (CTR) 1.3% Nov 2026 provisional – no target",
    "1,234,567.89 Oct 2026 a year before 1,034,567.89 1,000,000.00 to 2,000,000.00 ✓ on target",
    "CTR 24.0% Oct 2026 11.0% Oct 2026",
    "Interactions 32 Nov 2026 provisional 22 Nov 2026 provisional",
    "On 2026-11-17: 12 readers on the day, 24 in 7 days, 48 in 30 days.",
    "week of readers D1 D30 2026-11-02 10 30% 90%*",
    "2026-10-26 8 0%* –",
    "blend is live, with 2.0 times the NDCG of popularity in the newest evaluation.",
    "blend (live) 0.2000 0.1900 to 0.2100 45%",
    "blend-v7 (live) Chosen by the gate on 2026-11-17 04:00 UTC: It is better than popularity.",
    "ease-v3 (challenger) Chosen by the canary on 2026-11-16 04:00 UTC: Its canary is complete.",
    "Week of 2026-11-09: 1,000 exposures of 20 books, 40% of the item catalog; the most frequent tenth of it has 55% of them.",
    "blend-v8 has 0% of the visitors: rolled back: errors.",
    "2026-11-19 07:00 blend-v8 5% running the tests advanced to 5 %",
    "2026-11-19 05:00 blend-v8 1% running a person the canary has started",
    "2026-11-16 04:00 ease-v3 100% complete the tests complete: all traffic",
    "accepted 97 = 93 distinct events + 3 duplicates + 1 invalid",
    "rejected 3 (3.00%)",
    "landing files loaded 3.0 MB",
    f"total cost, September 2026 1,200.00 (base currency, reported by {EVIL})",
    "Without a plan: unplanned.",
    "1 check fails: see pipeline health.",
    "intermediate 2026-11-20 06:00 10 0 experiments never 1 1",
    "runs of 30 days 2, 1 of them failed time of runs 2 min, the longest 90 s",
)


def test_every_section_tells_what_the_marts_say(page: str) -> None:
    text = Parsed(page).text
    assert [each for each in KNOWN if each not in text] == []


def test_the_running_day_and_segments_are_in_no_chart_or_cohort(page: str) -> None:
    described = [found["aria-label"] or "" for found in Parsed(page).all("svg") if "aria-label" in found]
    [stickiness] = [each for each in described if each.startswith("Stickiness")]
    assert "2026-11-16 to 2026-11-17" in stickiness
    assert "2026-11-09 9" not in Parsed(page).text


def test_a_young_history_without_a_complete_day_says_so(world: Settings) -> None:
    warehouse = DuckDBWarehouse(world.warehouse_path)
    with warehouse.connect() as con:
        con.execute("update marts.rpt_active_readers set is_complete = false")
    assert readers_section(warehouse, {ACTIVE}).summary.startswith("On 2026-11-18 (not complete): 1 readers on the day")


def test_the_summary_names_what_is_off_target_and_no_month_if_they_differ(world: Settings) -> None:
    warehouse = DuckDBWarehouse(world.warehouse_path)
    with warehouse.connect() as con:
        con.execute(
            "update marts.rpt_kpi_scorecard set is_on_target = false, month_start = date '2026-09-01' where kpi = 'revenue'"
        )
    assert scorecard_section(warehouse, {SCORECARD}).summary.startswith(
        "1 of 2 KPIs with a target and a value are on target. Off target: Monthly recurring revenue (MRR). Without"
    )


def test_each_cost_is_reported_by_who_told_it(world: Settings) -> None:
    warehouse = DuckDBWarehouse(world.warehouse_path)
    with warehouse.connect() as con:
        con.execute(
            "insert into marts.rpt_kpi_scorecard by name select * replace"
            " ('data_share_of_it_budget' as kpi, 'ann' as reported_by, 7.0 as numerator) from marts.rpt_kpi_scorecard"
            " where kpi = 'cost_to_revenue' and numerator is not null"
        )
    told = [text for _, text in cost_section(warehouse, {SCORECARD}, None).facts]
    assert told == [f"1,200.00 (base currency, reported by {EVIL})", "7.00 (base currency, reported by ann)"]


def test_what_use_cost_is_that_of_thirty_days_and_of_a_reader(filled: Settings) -> None:
    warehouse = DuckDBWarehouse(filled.warehouse_path)
    facts = dict(cost_section(warehouse, {"marts.rpt_cost_daily", "marts.rpt_active_readers"}, None).facts)
    assert facts == {
        "cost of use, 30 days to 2026-11-18": "$47.00; $1.00 an active reader (`recsys costs`)",
        "dearest asset": "models/blend, $20.00",
    }


def test_the_verdicts_that_have_a_colour_are_verdicts() -> None:
    assert set(KINDS_OF_VERDICTS) < set(Verdict)


@pytest.mark.parametrize(("verdict", "kind"), [("ship", "good"), ("stop: guardrail", "bad"), ("invalid", "bad")])
def test_a_verdict_has_the_same_colour_in_the_headline_and_in_its_section(
    filled: Settings, verdict: str, kind: str
) -> None:
    content = collect_content(filled, DuckDBWarehouse(filled.warehouse_path), STATE, NOW)
    trial = ExperimentSummary("trial", "ended", "60 days", "So it ends.", verdict=verdict)
    text = kpi_page(replace(content, experiments=Experiments(experiments=[trial])))
    assert f'<span class="{kind}">trial: So it ends.</span>' in text
    assert f'<span class="verdict {kind}">{verdict}</span>' in text


def test_an_experiment_begins_with_its_verdict_and_an_invalid_one_is_crossed_out(page: str) -> None:
    invalid, sound = re.findall(r'<article class="experiment(.*?)</article>', page, re.DOTALL)[::-1]
    assert "lopsided" in invalid
    assert invalid.startswith(" invalid")
    assert "Do not use the figures below" in invalid
    assert "The groups do not have the sizes of their weights" in invalid
    assert not sound.startswith(" invalid")
    assert sound.index("Keep running treatment: ctr") < sound.index("Readers: control 300, treatment 300")
    charts = re.findall(r'aria-label="(ctr: treatment[^"]*)"', sound)
    assert [each.partition(",")[0] for each in charts] == ["ctr: treatment against control"]
    assert "smallest effect worth having" in charts[0]


def test_the_page_is_sound_html_that_fetches_and_runs_nothing(page: str) -> None:
    parsed = Parsed(page)
    assert parsed.elements[0] == ("html", {"lang": "en"})
    assert {tag for tag, _ in parsed.elements} & {"script", "link", "iframe", "object", "embed", "img", "base"} == set()
    places = [value or "" for _, found in parsed.elements for name, value in found.items() if name in {"src", "href"}]
    assert places
    ids = [found["id"] for _, found in parsed.elements if "id" in found]
    assert len(ids) == len(set(ids))
    assert {place.removeprefix("#") for place in places} <= set(ids)
    assert not re.search(r"https?:|@import|url\(|\bon\w+=", page.replace(EVIL, ""))
    assert EVIL not in page
    assert EVIL in parsed.text


def test_the_page_can_be_read_by_a_screen_reader(page: str) -> None:
    parsed = Parsed(page)
    levels = [int(tag[1]) for tag, _ in parsed.elements if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert {found.get("scope") for found in parsed.all("th")} == {"col", "row"}
    assert len(parsed.all("caption")) == len(parsed.all("table"))
    assert all(found.get("aria-label") or found.get("aria-hidden") for found in parsed.all("svg"))
    assert all(found.get("aria-label") for _, found in parsed.elements if "tabindex" in found)


DAYS = [dt.date(2026, 11, day) for day in (1, 2, 3, 4)]


def test_a_chart_shows_losses_leaves_gaps_and_says_in_words_what_it_draws() -> None:
    series = Series("growth", [-0.5, None, float("nan"), 0.25], "a")
    drawn = line_chart("Growth", DAYS, [series], text="{:.0%}".format, rules=[Rule("target", 0.1)])
    [line] = drawn.lines
    assert line.path.count("M") == 2  # two points, nothing between them
    assert [tick.text for tick in drawn.y_ticks] == ["-40%", "-20%", "0%", "20%"]
    assert drawn.description == "Growth, 2026-11-01 to 2026-11-04. first -50%, last 25%. Line at 10%: target."
    assert [name for _, name in drawn.rules] == ["target"]


def test_a_chart_of_nothing_or_of_one_day_is_drawn_too() -> None:
    empty = line_chart("Nothing", DAYS[:1], [Series("none", [None], "a")], text=str)
    assert (empty.lines[0].path, empty.lines[0].end) == ("", None)
    [bar] = bar_chart("One day", DAYS[:1], [3.0], text=str).bars
    assert bar.height > 0
    assert sparkline(DAYS, [None] * 4, text=str) is None


def palette(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})", block))


LIGHT = palette(CSS[: CSS.index("@media screen")])
PALETTES = {"light": LIGHT, "dark": LIGHT | palette(CSS[CSS.index("@media screen") : CSS.index("*, *::before")])}


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("name", PALETTES)
def test_texts_have_a_contrast_of_4_5_and_lines_one_of_3(name: str) -> None:
    colours = PALETTES[name]
    grounds = [colours["ground"], colours["soft"]]
    heats = [colours[f"heat-{number}"] for number in range(1, 5)]
    texts = [colours[each] for each in ("text", "quiet", "link", "good", "bad")]
    assert min(contrast(text, ground) for text in texts for ground in grounds) >= 4.5
    assert min(contrast(colours["text"], heat) for heat in heats) >= 4.5
    assert min(contrast(colours[each], colours["ground"]) for each in "abcd") >= 3
    assert len({colours[each] for each in "abcd"}) == 4


def test_no_two_lines_differ_by_colour_alone() -> None:
    dashes = re.findall(r"\.line\.([abcd]) \{[^}]*?(?:stroke-dasharray: ([\d ]+))?;? \}", CSS)
    assert [style for style, _ in dashes] == list("abcd")
    assert len({dash for _, dash in dashes}) == 4


@pytest.mark.slow
def test_the_command_writes_it_into_the_hub_or_a_file(
    world: Settings, run_recsys: Callable[..., Any], tmp_path: Path
) -> None:
    code, said = run_recsys("report")
    assert (code, said) == (0, f"written to {hub_of(world).where(KPI_PAGE)}")
    assert "50.0%" in hub_of(world).get(KPI_PAGE).decode()
    named = tmp_path / "page.html"
    assert run_recsys("report", "--output", str(named)) == (0, f"written to {named}")
    assert Parsed(named.read_text(encoding="utf-8")).text.count("reports never") == 1
    code, said = run_recsys("report", "--output", str(tmp_path / "no" / "page.html"))
    assert (code, said.endswith("Name another file with --output.")) == (1, True)


def test_a_page_in_s3_is_not_opened(
    home: Settings, run_recsys: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECSYS_HUB", "s3://bucket/world")
    code, said = run_recsys("report", "--open")
    assert (code, said.endswith("name a file with --output.")) == (1, True)


def test_while_a_run_writes_it_reads_the_copy(world: Settings, run_recsys: Callable[..., Any], held: Any) -> None:
    write_reading_copy(DuckDBWarehouse(world.warehouse_path), world.analytics_path)
    with held(world.warehouse_path):
        assert run_recsys("report")[0] == 0
    assert "50.0%" in hub_of(world).get(KPI_PAGE).decode()


def test_an_empty_world_is_told_what_is_missing_and_what_to_run(home: Settings, run_recsys: Callable[..., Any]) -> None:
    write_experiments(home, "trial: {}")
    for is_prepared in (False, True):
        if is_prepared:
            DuckDBWarehouse(home.warehouse_path).prepare()
        assert run_recsys("report")[0] == 0
        text = Parsed(hub_of(home).get(KPI_PAGE).decode()).text
        assert text.count("run recsys run") >= 5
        assert "The experiments cannot be read:" in text
        assert "No cost is known" in text


class Counted:
    """A warehouse that counts its queries."""

    def __init__(self, warehouse: DuckDBWarehouse) -> None:
        self.warehouse, self.queries = warehouse, 0

    def frame(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        self.queries += 1
        return self.warehouse.frame(sql, parameters)


def test_the_number_of_queries_is_bounded(filled: Settings) -> None:
    counted = Counted(DuckDBWarehouse(filled.warehouse_path))
    collect_content(filled, counted, None, NOW)  # type: ignore[arg-type]
    of_experiments = (
        1 + 2 * 7
    )  # what there is; newest day, readers, changes and sums of each, whatever its days and metrics
    assert counted.queries <= 20 + of_experiments


def test_the_asset_writes_it_and_tells_where(world: Settings) -> None:
    resources = {"warehouse": DuckDBWarehouse(world.warehouse_path), "settings": world, "hub": hub_of(world)}
    done = dg.materialize([kpi_page_asset], resources=resources)
    (made,) = done.asset_materializations_for_node("reports__kpi_page")
    assert made.metadata["report"].value == hub_of(world).where(KPI_PAGE)
    assert made.metadata["bytes"].value < 1_000_000
    assert "blend is live" in str(made.metadata["summary"].value)
    assert "No check fails." in hub_of(world).get(KPI_PAGE).decode()


def test_the_asset_is_written_by_a_run_during_which_somebody_edits_a_file(world: Settings) -> None:
    """A run of the command line has no repository, and the outline that it wrote is that of the files before."""
    (world.config_folder / "variants.yaml").write_text("ease: {}\n", encoding="utf-8")
    resources = {"warehouse": DuckDBWarehouse(world.warehouse_path), "settings": world, "hub": hub_of(world)}
    assert dg.materialize([kpi_page_asset], resources=resources).success
    assert "No check fails." in hub_of(world).get(KPI_PAGE).decode()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip(MISSING)
    with Browser(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


OVERFLOWING = """
[...document.querySelectorAll('body *')]
  .filter((e) => !e.parentElement.closest('.wide, svg'))
  .filter((e) => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map((e) => e.outerHTML.slice(0, 80))
"""
PRINTED = (
    "[...document.querySelectorAll('.wide')].filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => e.ariaLabel)"
)
A4_WIDTH = 703
"""Of a page of A4 without its margins of 12 mm, in pixels of CSS."""


@pytest.mark.slow  # starts a browser
def test_in_a_browser_every_text_can_be_read_and_nothing_is_wider_than_the_screen_or_the_paper(
    page: str, browser: Browser, tmp_path: Path
) -> None:
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    for width, phone in ((360, True), (1280, False)):
        for dark in (False, True):
            browser.show_as(width=width, height=800, dark=dark, phone=phone)
            browser.open((tmp_path / "page.html").as_uri())
            assert browser.complaints() == []
            assert browser.weak_texts() == []
            assert browser.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
            assert browser.evaluate(OVERFLOWING) == []
    browser.show_as(width=A4_WIDTH, height=1000, dark=True)
    browser.send("Emulation.setEmulatedMedia", media="print")
    assert browser.weak_texts() == []  # on white, also of who likes it dark
    assert browser.evaluate(OVERFLOWING) == []
    assert browser.evaluate(PRINTED) == []
    assert browser.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
    browser.send("Emulation.setEmulatedMedia", media="")
