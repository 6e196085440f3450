"""An experiment is started, ramped and stopped: the file keeps its comments, the audit has every change, mistakes are one sentence."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest

from recsys_platform.common.errors import InputError, RecsysError
from recsys_platform.common.strict_yaml import parse_yaml
from recsys_platform.experiments.assignment import Experiment, Experiments
from recsys_platform.experiments.changes import Change, audited_changes, changes_in, periods_of, state_of, store_ranges
from recsys_platform.experiments.definitions import experiment_named, parse_experiments
from recsys_platform.experiments.lifecycle import Edit, apply_edit, hold_out, ramp, start, stop
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse

MODELS = {"production", "challenger", "17"}
NOW = dt.datetime(2026, 11, 29, 12, tzinfo=dt.UTC)
TEXT = """\
# Who sees what. Ask ann before you change it.
new_blend:                          # the one of the autumn
  hypothesis: readers click more on the lists of the challenger
  surfaces: [home.for_you]
  status: draft                     # until the lists are checked
  variants:
    control: {model: production, weight: 1}
    treatment: {model: challenger, weight: 1}   # candidate of November
  plan: {starts_on: 2026-11-02, days: 14, primary: {ctr: 0.02}}

# The next one waits for the designers.
big_covers:
  hypothesis: large covers are clicked more
  surfaces: [home.new]
  layer: covers
  variants:
    small:
      model: production
      weight: 20
    large:
      model: "17"
      weight: 20

no_idea:
  status: draft
  variants: {one: {model: production, weight: 5}, two: {model: nowhere, weight: 5}}
old:
  status: stopped
  stopped_at: 2026-10-01 08:30:00+00:00
  surfaces: [email]
  variants: {one: {model: production, weight: 50}}
"""


def content_of(text: str) -> Experiments:
    return parse_experiments(parse_yaml(text))


def named(text: str, name: str) -> Experiment:
    return experiment_named(content_of(text), name)


def comments(text: str) -> list[str]:
    return [line.partition("#")[2] for line in text.splitlines() if "#" in line]


def test_a_draft_starts_and_the_file_keeps_its_comments_and_its_order() -> None:
    edit = start(TEXT, "new_blend", models=MODELS, now=NOW)
    found = named(edit.text, "new_blend")
    assert (found.status, found.started_at, found.definition) == ("running", NOW, edit.after.definition)
    assert comments(edit.text) == comments(TEXT)
    assert list(parse_yaml(edit.text)) == list(parse_yaml(TEXT))
    changed = set(edit.text.splitlines()) ^ set(TEXT.splitlines())
    assert {line.split(":")[0].strip() for line in changed} == {"status", "started_at", "definition", "plan"}
    assert "status: running" in edit.text
    assert str(found.plan and found.plan.starts_on) == "2026-11-29"  # it could not begin before


def test_a_ramp_changes_the_weights_alone_and_moves_only_visitors_from_outside() -> None:
    text = start(TEXT, "new_blend", models=MODELS, now=NOW).text
    edit = ramp(text, "new_blend", ["25"], models=MODELS)
    before, after = named(text, "new_blend"), named(edit.text, "new_blend")
    assert [each.weight for each in after.variants] == [25, 25]
    assert comments(edit.text) == comments(TEXT)
    assert [each.buckets for each in after.variants] == ["", ""]  # the weights alone say the same
    inside = [unit for unit in UNITS if before.variant_of(unit)]
    assert len(inside) > 20
    assert [variant_name(before, unit) for unit in inside] == [variant_name(after, unit) for unit in inside]


UNITS = [f"u{number}" for number in range(3_000)]


def variant_name(experiment: Experiment, unit: str) -> str | None:
    found = experiment.variant_of(unit)
    return found.name if found else None


def test_one_variant_of_a_layer_is_ramped_and_all_of_the_layer_get_their_buckets_written_down() -> None:
    more = "small_covers:\n  layer: covers\n  surfaces: [home.new]\n  variants: {tiny: {model: '17', weight: 10}}\n"
    edit = ramp(TEXT + more, "big_covers", ["large=30", "small=20"], models=MODELS)
    found = content_of(edit.text)
    (other,) = experiment_named(found, "small_covers").variants
    assert other.buckets == "4000-4999"  # where it was
    small, large = experiment_named(found, "big_covers").variants
    assert (small.buckets, large.buckets) == ("0-1999", "2000-3999 5000-5999")
    stopped = stop(edit.text, "big_covers", now=NOW)
    assert experiment_named(content_of(stopped.text), "small_covers").variants == (other,)
    again = ramp(edit.text, "big_covers", ["large=10"], models=MODELS)
    assert named(again.text, "big_covers").variants[1].buckets == "2000-2999"


def test_a_stopped_experiment_has_no_visitors_and_its_plan_ends() -> None:
    text = start(TEXT, "new_blend", models=MODELS, now=NOW).text
    edit = stop(text, "new_blend", now=NOW + dt.timedelta(days=3, hours=1))
    found = named(edit.text, "new_blend")
    assert (found.is_running, str(found.plan and found.plan.stopped_on)) == (False, "2026-12-02")
    assert content_of(edit.text).assign("u1", "home.for_you") is None
    assert comments(edit.text) == comments(TEXT)


Act = Callable[[str], Edit]


def starts(name: str, *, models: set[str] = MODELS, moved: str = "home.for_you") -> Act:
    return lambda text: start(text.replace("home.new]", f"{moved}]"), name, models=models, now=NOW)


def stops(name: str) -> Act:
    return lambda text: stop(text, name, now=NOW)


def ramps(name: str, *percents: str, models: set[str] = MODELS) -> Act:
    return lambda text: ramp(text, name, percents, models=models)


REFUSED = {
    "start of nothing": (starts("none"), "There is no experiment none: name one of new_blend, big_covers"),
    "start of a running one": (starts("big_covers"), "big_covers runs already: a draft has `status: draft`"),
    "start of a stopped one": (starts("old"), r"old was stopped \(since 2026-10-01 08:30 UTC\) and cannot start again"),
    "start without a hypothesis": (starts("no_idea"), "no_idea has no `hypothesis`"),
    "start without the model": (
        starts("new_blend", models={"production"}),
        "treatment of new_blend names the model challenger, which is neither an alias nor a version",
    ),
    "start on a taken surface": (starts("new_blend"), "new_blend and big_covers share the surface home.for_you"),
    "stop of a draft": (stops("new_blend"), "new_blend has not started"),
    "stop of a stopped one": (stops("old"), r"old was stopped \(since 2026-10-01 08:30 UTC\): copy it"),
    "ramp of a draft": (ramps("new_blend", "5"), "new_blend has not started"),
    "ramp without the model": (
        ramps("big_covers", "5", models={"production"}),
        "large of big_covers names the model 17",
    ),
    "ramp to what it has": (ramps("big_covers", "20"), "big_covers has these weights already"),
    "ramp of an unknown variant": (ramps("big_covers", "huge=5"), "has no variant huge: name one of small, large"),
    "ramp above all": (ramps("big_covers", "60"), "would have 120 % together: at most 100"),
    "ramp to nothing": (ramps("big_covers", "0"), "small cannot have 0 % of the visitors"),
    "ramp to a part of a bucket": (ramps("big_covers", "small=0.015"), "a hundredth of a percent is the finest step"),
    "ramp in words": (ramps("big_covers", "half"), "'half' is not a number"),
    "ramp by two numbers": (ramps("big_covers", "5", "6"), "one percent for all variants, or VARIANT=PERCENT"),
    "a file that is no YAML": (lambda text: stop("a: [", "a", now=NOW), "experiments.yaml cannot be read"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_done_is_told_in_one_sentence(what: str) -> None:
    act, said = REFUSED[what]
    with pytest.raises(RecsysError, match=said) as told:
        act(TEXT)
    assert str(told.value).endswith(".")


class Kept:
    """A file in memory, which may refuse."""

    def __init__(self, text: str = TEXT, *, refuses: bool = False) -> None:
        self.text, self.refuses = text, refuses

    def read(self) -> str:
        return self.text

    def write(self, text: str) -> None:
        if self.refuses:
            raise RecsysError("It cannot be written.")
        self.text = text


@pytest.fixture
def warehouse(tmp_path: Path) -> DuckDBWarehouse:
    return DuckDBWarehouse(tmp_path / "warehouse.duckdb")


def apply(edit: Edit, file: Kept, warehouse: DuckDBWarehouse, at: dt.datetime = NOW) -> Change:
    return apply_edit(edit, file, warehouse, who="ann", why="it is time", now=at)


def test_every_change_is_in_the_audit_with_who_when_why_before_and_after(warehouse: DuckDBWarehouse) -> None:
    file = Kept()
    apply(start(file.text, "new_blend", models=MODELS, now=NOW), file, warehouse)
    apply(ramp(file.text, "new_blend", ["5"], models=MODELS), file, warehouse, NOW + dt.timedelta(hours=1))
    apply(stop(file.text, "new_blend", now=NOW), file, warehouse, NOW + dt.timedelta(hours=2))
    changes = changes_in(warehouse)
    assert [(each.action, each.at.hour, each.who, each.why) for each in changes] == [
        ("started", 12, "ann", "it is time"),
        ("ramped", 13, "ann", "it is time"),
        ("stopped", 14, "ann", "it is time"),
    ]
    assert [change.before for change in changes[1:]] == [change.after for change in changes[:-1]]
    assert [sum(change.after.weights.values()) for change in changes] == [2, 10, 0]
    assert changes[-1].after == state_of(named(file.text, "new_blend"))
    ranges = warehouse.frame(
        "select experiment, variant, valid_to is null as is_open from ops.experiment_ranges order by all"
    )
    assert {row["experiment"]: row["is_open"] for row in ranges.to_pylist()} == {"big_covers": True, "new_blend": False}


def test_a_stop_while_the_warehouse_is_held_ends_the_last_period_and_is_recorded_later(
    warehouse: DuckDBWarehouse,
) -> None:
    file = Kept()
    apply(start(file.text, "new_blend", models=MODELS, now=NOW), file, warehouse)
    stopped_at = NOW + dt.timedelta(hours=2)
    edit = stop(file.text, "new_blend", now=stopped_at)
    file.write(edit.text)  # and no more: the warehouse was held
    periods = periods_of(edit.after, changes_in(warehouse))
    assert [(each.state.status, each.until and each.until.hour) for each in periods] == [
        ("draft", 12),
        ("running", 14),
        ("stopped", None),
    ]
    apply(ramp(file.text, "big_covers", ["large=30"], models=MODELS), file, warehouse, NOW + dt.timedelta(hours=5))
    assert [(each.action, each.at.hour, each.who) for each in changes_in(warehouse)] == [
        ("started", 12, "ann"),
        ("stopped", 14, "unknown"),
        ("ramped", 17, "ann"),
    ]
    assert periods_of(edit.after, changes_in(warehouse)) == periods
    ends = warehouse.frame("select distinct valid_to from ops.experiment_ranges where experiment = 'new_blend'")
    assert [each.hour for each in ends["valid_to"].to_pylist()] == [14]


def test_a_file_that_cannot_be_written_leaves_no_trace_in_the_audit(warehouse: DuckDBWarehouse) -> None:
    file = Kept(refuses=True)
    with pytest.raises(RecsysError, match="cannot be written"):
        apply(start(TEXT, "new_blend", models=MODELS, now=NOW), file, warehouse)
    assert (file.text, changes_in(warehouse)) == (TEXT, [])


def test_a_file_that_somebody_else_changed_meanwhile_is_left_alone(warehouse: DuckDBWarehouse) -> None:
    file = Kept()
    edit = start(TEXT, "new_blend", models=MODELS, now=NOW)
    file.text = f"{TEXT}# of bob\n"
    with pytest.raises(InputError, match="was changed meanwhile"):
        apply(edit, file, warehouse)
    assert changes_in(warehouse) == []


def test_the_holdout_is_changed_and_the_file_keeps_its_comments() -> None:
    first = hold_out(TEXT, 5, model=None, models=MODELS)
    found = content_of(first.text).holdout
    assert found
    assert (found.percent, found.model, first.before, comments(first.text)) == (5, "production", None, comments(TEXT))
    older = hold_out(first.text, 2.5, model="17", models=MODELS)
    found = content_of(older.text).holdout
    assert found
    assert (found.percent, found.model, comments(older.text)) == (2.5, "17", comments(TEXT))
    gone = hold_out(older.text, 0, model=None, models=MODELS)
    assert gone.text == TEXT


@pytest.mark.parametrize(
    ("percent", "model", "mistake"),
    [
        (5, None, "The holdout is so already: nothing is to be changed"),
        (60, None, "cannot have 60 % of the visitors: give 0 to 50"),
        (5, "nowhere", "holdout of holdout names the model nowhere, which is neither an alias nor a version"),
    ],
)
def test_a_mistake_about_the_holdout_is_one_sentence(percent: float, model: str | None, mistake: str) -> None:
    with pytest.raises(InputError, match=mistake):
        hold_out(f"holdout: {{percent: 5}}\n{TEXT}", percent, model=model, models=MODELS)


def test_a_read_out_between_the_audit_and_the_file_of_a_command_finds_no_other_holdout(tmp_path: Path) -> None:
    warehouse, kept = DuckDBWarehouse(tmp_path / "warehouse.duckdb"), Kept("holdout: {percent: 5}\n")
    warehouse.prepare()
    before = content_of(kept.text)
    edit = hold_out(kept.text, 10, model="17", models=MODELS)
    apply_edit(edit, kept, warehouse, who="ann", why="a year's effect", now=NOW)
    for minutes in (1, 9):
        audited_changes(warehouse, before, NOW + dt.timedelta(minutes=minutes))
    audited_changes(warehouse, content_of(kept.text), NOW + dt.timedelta(minutes=11))
    assert [(each.who, each.after.weights) for each in changes_in(warehouse)] == [("ann", {"holdout": 10.0})]
    audited_changes(warehouse, content_of("holdout: {percent: 2}\n"), NOW + dt.timedelta(minutes=5))  # by hand
    assert [(each.who, each.after.weights) for each in changes_in(warehouse)][1:] == [("unknown", {"holdout": 2.0})]


def test_every_holdout_is_in_the_audit_by_commands_and_by_hand_and_its_buckets_are_kept_over_time(
    tmp_path: Path,
) -> None:
    warehouse, kept = DuckDBWarehouse(tmp_path / "warehouse.duckdb"), Kept("holdout: {percent: 5}\n")
    warehouse.prepare()
    days = [NOW + dt.timedelta(days=day) for day in range(5)]

    def found(now: dt.datetime) -> None:
        experiments = content_of(kept.text)
        store_ranges(warehouse, experiments, audited_changes(warehouse, experiments, now))

    found(days[0])
    found(days[0])  # nothing is new
    edit = hold_out(kept.text, 10, model="17", models=MODELS)
    apply_edit(edit, kept, warehouse, who="ann", why="a year's effect", now=days[1])
    kept.text = kept.text.replace("10", "2")
    found(days[2])
    kept.text = "{}\n"
    found(days[3])
    kept.text = "holdout: {percent: 2}\n"
    found(days[4])
    changes = changes_in(warehouse)
    assert [(each.experiment, each.action, each.who, each.after.status) for each in changes] == [
        ("holdout", "changed", who, status)
        for who, status in (
            ("unknown", "running"),
            ("ann", "running"),
            ("unknown", "running"),
            ("unknown", "stopped"),
            ("unknown", "running"),
        )
    ]
    assert [change.after.weights for change in changes] == [{"holdout": w} for w in (5.0, 10.0, 2.0, 0.0, 2.0)]
    assert changes[1].after.variants["holdout"].model == "17"
    ranges = warehouse.frame(
        "select experiment, last_bucket, valid_from, valid_to from ops.experiment_ranges order by valid_from nulls first"
    )
    naive = [each.replace(tzinfo=None) for each in days]
    assert [tuple(row.values()) for row in ranges.to_pylist()] == [
        ("holdout", 499, None, naive[1]),  # it was there before anybody looked
        ("holdout", 999, naive[1], naive[2]),
        ("holdout", 199, naive[2], naive[3]),
        ("holdout", 199, naive[4], None),
    ]
