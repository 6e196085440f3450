"""The file of experiments: layers, the holdout, audiences, drafts, and what may not change after a start."""

from collections import Counter
from typing import Any

import pytest
from scipy import stats

from recsys_platform.experiments.assignment import HOLDOUT
from recsys_platform.experiments.audience import Audience, Reader
from recsys_platform.experiments.definitions import ExperimentsError, definition_of, parse_experiments

UNITS = [f"u{number}" for number in range(20_000)]


def experiment(*weights: float, **more: Any) -> dict[str, Any]:
    names = ("control", "treatment", "third")
    variants = {name: {"model": "production", "weight": weight} for name, weight in zip(names, weights, strict=False)}
    return {"variants": variants, "surfaces": ["home"], **more}


LAYERED = {
    "first": experiment(20, 20, layer="ranking"),
    "second": experiment(10, 30, layer="ranking"),
    "elsewhere": experiment(50, 50, layer="mail", surfaces=["email"]),
}


def test_experiments_of_a_layer_share_a_surface_and_no_reader_and_get_what_their_weights_say() -> None:
    found = parse_experiments(LAYERED)
    first, second = (next(each for each in found if each.name == name) for name in ("first", "second"))
    assert not [unit for unit in UNITS if first.variant_of(unit) and second.variant_of(unit)]
    given = (found.assign(unit, "home") for unit in UNITS)
    counts = Counter((each.experiment, each.variant.name) if each else None for each in given)
    expected = {
        ("first", "control"): 20,
        ("first", "treatment"): 20,
        ("second", "control"): 10,
        ("second", "treatment"): 30,
        None: 20,
    }
    assert stats.chisquare([counts[key] for key in expected], [200 * each for each in expected.values()]).pvalue > 0.001


def test_layers_are_independent_of_each_other() -> None:
    found = parse_experiments(LAYERED)
    pairs = Counter((str(found.assign(unit, "home")), str(found.assign(unit, "email"))) for unit in UNITS)
    rows, columns = (sorted({pair[side] for pair in pairs}) for side in (0, 1))
    assert stats.chi2_contingency([[pairs[row, column] for column in columns] for row in rows]).pvalue > 0.001


def test_an_experiment_that_is_added_to_a_layer_moves_nobody_of_the_others() -> None:
    one, both = parse_experiments({"first": LAYERED["first"]}), parse_experiments(LAYERED)
    assert [one[0].variant_of(unit) for unit in UNITS] == [both[0].variant_of(unit) for unit in UNITS]


def test_readers_of_the_holdout_are_in_no_experiment_and_their_answers_name_it() -> None:
    found = parse_experiments({"holdout": {"percent": 10, "model": "17"}, **LAYERED})
    without = parse_experiments(LAYERED)
    held = {unit for unit in UNITS if found.holdout and found.holdout.has(unit)}
    assert stats.binomtest(len(held), len(UNITS), 0.1).pvalue > 0.001
    for unit in UNITS[:2_000]:
        assigned = found.assign(unit, "home")
        if unit in held:
            assert assigned is not None
            assert (assigned.experiment, assigned.variant.name, assigned.variant.model) == (HOLDOUT, HOLDOUT, "17")
        else:
            assert assigned == without.assign(unit, "home")
    assert set(found.models) == {"production", "17"}


def test_the_holdout_grows_by_readers_who_were_in_experiments_and_gives_none_back() -> None:
    small, large = (parse_experiments({"holdout": {"percent": percent}}).holdout for percent in (5, 10))
    assert small is not None
    assert large is not None
    assert {unit for unit in UNITS if small.has(unit)} < {unit for unit in UNITS if large.has(unit)}


def test_an_audience_is_asked_only_of_those_whom_the_experiment_would_have() -> None:
    audience = {"languages": ["de"], "tier": "not_free", "readers": "signed_in"}
    found = parse_experiments({"trial": experiment(30, 20, audience=audience)})
    asked = []

    def reader(unit: str, of: Reader) -> Reader:
        asked.append(unit)
        return of

    for unit in UNITS[:200]:
        inside = found[0].variant_of(unit) is not None
        asked.clear()
        german = found.assign(unit, "home", lambda unit=unit: reader(unit, Reader("de")))  # type: ignore[misc]
        assert (german is not None) == inside == bool(asked)
        for other in (Reader(), Reader("en"), Reader("de", is_free=True), Reader("de", is_guest=True)):
            assert found.assign(unit, "home", lambda other=other: other) is None  # type: ignore[misc]
    assert found.assign(UNITS[0], "home") is None  # of whom nothing is known


@pytest.mark.parametrize(
    ("audience", "condition"),
    [
        (Audience(), "true"),
        (
            Audience(languages=("de", "en"), tier="free"),
            "language in ('de', 'en') and coalesce(tier, '') = 'free'",
        ),
        (Audience(tier="not_free", readers="guests"), "coalesce(tier, '') != 'free' and user_id is null"),
    ],
)
def test_an_audience_is_a_condition_of_sql(audience: Audience, condition: str) -> None:
    assert audience.condition == condition


def test_drafts_and_stopped_experiments_have_no_visitors_and_take_no_surface() -> None:
    statuses = {"old": "stopped", "now": "running", "next": "draft"}
    found = parse_experiments({name: experiment(50, 50, status=status) for name, status in statuses.items()})
    assert {each.experiment if each else None for each in (found.assign(unit, "home") for unit in UNITS[:50])} == {
        "now"
    }
    drafts = parse_experiments({"next": experiment(50, 50, status="draft")})
    assert drafts.assign("u1", "home") is None
    assert drafts.models == ()


def started(**more: Any) -> dict[str, Any]:
    content = experiment(10, 10, hypothesis="more clicks", **more)
    content["definition"] = definition_of(parse_experiments({"trial": content})[0])
    return content


PLAN = {"starts_on": "2026-11-02", "days": 14, "primary": {"ctr": 0.02}}


def test_weights_and_the_end_may_change_after_the_start_and_nothing_else() -> None:
    content = started(plan=PLAN)
    allowed = content | {"status": "stopped", "plan": PLAN | {"stopped_on": "2026-11-05"}}
    allowed["variants"] = experiment(40, 20)["variants"]
    parse_experiments({"trial": allowed})
    changes: list[dict[str, Any]] = [
        {"hypothesis": "more finishes"},
        {"surfaces": ["home", "email"]},
        {"salt": "again"},
        {"audience": {"tier": "free"}},
        {"plan": PLAN | {"primary": {"clicks": 0.02}}},
        {"variants": experiment(10, 10)["variants"] | {"treatment": {"model": "18", "weight": 10}}},
    ]
    for change in changes:
        with pytest.raises(ExperimentsError, match="trial was changed after it had started"):
            parse_experiments({"trial": content | change})


WITH_BUCKETS = {
    "control": {"model": "production", "weight": 10, "buckets": "0-999"},
    "treatment": {"model": "challenger", "weight": 10, "buckets": "5000-5499 6000-6499"},
}


def buckets_of(**texts: str) -> dict[str, Any]:
    variants = {name: each | {"buckets": texts.get(name, each["buckets"])} for name, each in WITH_BUCKETS.items()}
    return {"trial": {"variants": variants}}


def test_buckets_of_the_file_count_instead_of_those_of_the_weights() -> None:
    (found,) = parse_experiments(buckets_of())
    assert found.ranges == ((0, 0, 1_000), (1, 5_000, 5_500), (1, 6_000, 6_500))


WRONG = {
    "a layer with more than all": (
        {"a": experiment(50, layer="x"), "b": experiment(60, layer="x")},
        "the layer x have 110 % of the visitors together",
    ),
    "a surface of two layers": (
        {"a": experiment(5, layer="x"), "b": experiment(5, layer="y")},
        "a and b share the surface home, and an answer is of one experiment: give each its own `surfaces`, or both the same `layer`",
    ),
    "a salt in a layer": ({"a": experiment(5, layer="x", salt="s")}, "a `salt` and a `layer`"),
    "an experiment called holdout": ({"holdout": experiment(5)}, r"write `holdout: \{percent: 5\}`"),
    "a holdout of most": ({"holdout": {"percent": 60}}, "holdout, percent: input should be less than or equal to 50"),
    "an unknown tier": ({"a": experiment(5, audience={"tier": "gold"})}, "audience.tier: input should be 'any', 'free'"),
    "a language in words": ({"a": experiment(5, audience={"languages": ["German"]})}, "audience.languages.0"),
    "an unknown audience": ({"a": experiment(5, audience={"platform": "ios"})}, "audience.platform: unexpected"),
    "an unknown status": ({"a": experiment(5, status="paused")}, "status: input should be 'draft', 'running'"),
    "buckets that are not those of the weight": (
        buckets_of(control="0-899"),
        "control of trial has 900 buckets, and its weight of 10 % is 1,000: change weights with `recsys experiments ramp`",
    ),
    "buckets for one variant alone": (buckets_of(control=""), "control of trial has 0 buckets"),
    "buckets of two variants": (buckets_of(control="4500-5499"), "two variants of trial own bucket 5000"),
    "buckets that end before they begin": (buckets_of(control="999-0"), "end before they begin"),
    "buckets in words": (buckets_of(control="all"), "buckets: string should match pattern"),
    "buckets of two experiments": (
        {name: each | {"layer": "x"} for name in ("a", "b") for each in buckets_of().values()},
        "two experiments of the layer x own bucket 0",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_a_mistake_is_told_in_one_sentence(what: str) -> None:
    content, said = WRONG[what]
    with pytest.raises(ExperimentsError, match=said) as told:
        parse_experiments(content, where="experiments.yaml")
    assert str(told.value).startswith("experiments.yaml: ")
    assert str(told.value).endswith(".")
