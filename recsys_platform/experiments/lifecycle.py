"""Start, stop and ramp an experiment: from the text of `experiments.yaml` to the next one, with its comments.

Belongs here: what may be done when, what it changes in the file, and that the audit has it. Does not: where the file is
(serving/routing_files.py), the rows of the audit (changes.py).
"""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from io import StringIO
from typing import Any, Protocol
from uuid import uuid4

from recsys_platform.common.clock import to_naive_utc
from recsys_platform.common.errors import InputError, RecsysError
from recsys_platform.common.strict_yaml import parse_yaml
from recsys_platform.experiments.assignment import HOLDOUT, MOST_HELD_OUT, Experiment, Experiments, Holdout
from recsys_platform.experiments.buckets import moved_buckets, moved_ranges, ranges_of, sizes_of
from recsys_platform.experiments.changes import (
    Action,
    Change,
    audited_changes,
    remove_change,
    state_of,
    stop_id,
    store_change,
    store_ranges,
)
from recsys_platform.experiments.definitions import (
    definition_of,
    experiment_named,
    parse_experiments,
    with_buckets,
)
from recsys_platform.warehouse.port import Warehouse

_STEP = 0.01
"""Percent of one bucket: no weight is finer."""


class EditableText(Protocol):
    """Where a file of experiments is."""

    def read(self) -> str:
        """The text. Raises RecsysError."""

    def write(self, text: str) -> None:
        """Replace the text. Raises RecsysError."""


@dataclass(frozen=True)
class Edit:
    """A change of a file: its text and the experiment, before and after; `before` is None for the first holdout."""

    action: Action
    old_text: str
    text: str
    before: Experiment | None
    after: Experiment


def apply_edit(edit: Edit, file: EditableText, warehouse: Warehouse, *, who: str, why: str, now: dt.datetime) -> Change:
    """Write a change to the audit and to the file, or to neither; a stop goes to the file first, which must not wait for the audit.

    Raises InputError if the file was changed meanwhile.
    """
    states = state_of(edit.before) if edit.before else None, state_of(edit.after)
    change_id = stop_id(edit.after) if edit.action == "stopped" else uuid4().hex
    change = Change(change_id, to_naive_utc(now), who, edit.after.name, edit.action, why, *states)
    if edit.action == "stopped":
        _write(edit, file)
        warehouse.prepare()
        store_change(warehouse, change)
    else:
        warehouse.prepare()
        store_change(warehouse, change)
        try:
            _write(edit, file)
        except RecsysError:
            remove_change(warehouse, change)
            raise
    experiments = parse_experiments(parse_yaml(edit.text))
    store_ranges(warehouse, experiments, audited_changes(warehouse, experiments, now))
    return change


def _write(edit: Edit, file: EditableText) -> None:
    if file.read() != edit.old_text:
        raise InputError("The file of experiments was changed meanwhile: run the command again.")
    file.write(edit.text)


def start(text: str, name: str, *, models: Collection[str], now: dt.datetime, where: str = "experiments.yaml") -> Edit:
    """Let visitors into a draft. `models`: the aliases and versions that there are. Raises InputError if it must not start.

    What must not change from now on is noted as a hash. In a layer the variants get buckets. A plan of an earlier day begins now.
    """
    experiments = _parsed(text, where)
    draft = experiment_named(experiments, name, where)
    if draft.status != "draft":
        raise InputError(_why_not_started(draft))
    if not draft.hypothesis.strip():
        raise InputError(f"{name} has no `hypothesis`: write into {where} what you expect to happen, and why.")
    _check_models(draft, models)
    after = replace(draft, status="running", started_at=now)
    if after.plan and after.plan.starts_on < now.date():
        after = replace(after, plan=replace(after.plan, starts_on=now.date()))
    if after.layer and not after.has_buckets:
        after = with_buckets(after, _buckets_of_others(experiments, after))
    return _edit("started", text, draft, replace(after, definition=definition_of(after)), where)


def stop(text: str, name: str, *, now: dt.datetime, where: str = "experiments.yaml") -> Edit:
    """Send all visitors of an experiment back to production. Raises InputError if it does not run."""
    running = _running(_parsed(text, where), name, where)
    after = replace(running, status="stopped", stopped_at=now)
    if after.plan and after.plan.starts_on <= now.date() < after.plan.last_day:
        after = replace(after, plan=replace(after.plan, stopped_on=now.date()))
    return _edit("stopped", text, running, after, where)


def ramp(
    text: str, name: str, percents: Sequence[str], *, models: Collection[str], where: str = "experiments.yaml"
) -> Edit:
    """Give variants other weights, such that as few visitors as possible change their variant.

    `percents`: one for all variants, such as `20`, or some of `VARIANT=PERCENT`.
    Raises InputError if the experiment does not run, or cannot have these weights.
    """
    experiments = _parsed(text, where)
    running = _running(experiments, name, where)
    weights = _parse_weights(percents, running)
    _check_weights(running, weights)
    _check_models(running, models)
    variants = tuple(replace(each, weight=weights.get(each.name, each.weight), buckets="") for each in running.variants)
    after = replace(running, variants=variants)
    if after.variants == tuple(replace(each, buckets="") for each in running.variants):
        raise InputError(f"{name} has these weights already: nothing is to be changed.")
    _check_room(experiments, after)
    if running.layer or running.has_buckets or not _is_least(running, after):
        after = with_buckets(after, _buckets_of_others(experiments, running), running.ranges)
    return _edit("ramped", text, running, after, where)


def hold_out(
    text: str, percent: float, *, model: str | None, models: Collection[str], where: str = "experiments.yaml"
) -> Edit:
    """Give the holdout another share of the visitors, 0 to remove it, or another model; by default it keeps its model.

    Raises InputError if the model is not known, or if nothing is to be changed.
    """
    before = _parsed(text, where).holdout
    kept = before or Holdout(1)
    after = None if percent == 0 else _with_percent(kept, percent, model or kept.model)
    if after == before:
        raise InputError("The holdout is so already: nothing is to be changed.")
    if after:
        _check_models(after.as_experiment, models)
    edited = _with_holdout(text, after)
    if _parsed(edited, where).holdout != after:
        raise InputError(f"{where} cannot be edited where `holdout` stands: write it in block style, without anchors.")
    old = before.as_experiment if before else None
    new = after.as_experiment if after else replace(kept.as_experiment, status="stopped")
    return Edit("changed", text, edited, old, new)


def _with_percent(holdout: Holdout, percent: float, model: str) -> Holdout:
    if not 0 < percent <= MOST_HELD_OUT:
        raise InputError(f"The holdout cannot have {percent:g} % of the visitors: give 0 to {MOST_HELD_OUT}.")
    return replace(holdout, percent=percent, model=model)


def _with_holdout(text: str, holdout: Holdout | None) -> str:
    """The text with another holdout; all else stays as it is written."""
    yaml, content = _editable(text)
    if holdout is None:
        del content[HOLDOUT]
        return _dumped(yaml, content)
    if HOLDOUT not in content:
        content.insert(0, HOLDOUT, {})
    entry = content[HOLDOUT]
    entry["percent"] = int(holdout.percent) if float(holdout.percent).is_integer() else holdout.percent
    if "model" in entry or holdout.model != Holdout.model:
        entry["model"] = holdout.model
    return _dumped(yaml, content)


def _parse_weights(texts: Sequence[str], experiment: Experiment) -> dict[str, float]:
    if len(texts) == 1 and "=" not in texts[0]:
        return dict.fromkeys((each.name for each in experiment.variants), _percent(texts[0]))
    weights = {}
    for text in texts:
        variant, _, percent = text.partition("=")
        if not percent:
            raise InputError(f"--percent {text}: give one percent for all variants, or VARIANT=PERCENT for each.")
        weights[variant.strip()] = _percent(percent)
    return weights


def _percent(text: str) -> float:
    try:
        return float(text.strip().removesuffix("%"))
    except ValueError as error:
        raise InputError(f"--percent {text}: {text.strip()!r} is not a number.") from error


def _parsed(text: str, where: str) -> Experiments:
    try:
        content = parse_yaml(text)
    except ValueError as error:
        raise InputError(f"{where} cannot be read: {error}.") from error
    return parse_experiments(content or {}, where=where)


def _running(experiments: Experiments, name: str, where: str) -> Experiment:
    found = experiment_named(experiments, name, where)
    if found.status == "draft":
        raise InputError(f"{name} has not started: `recsys experiments start {name}` starts it.")
    if found.status == "stopped":
        raise InputError(f"{name} was stopped{_since(found.stopped_at)}: copy it under another name to run it again.")
    return found


def _why_not_started(experiment: Experiment) -> str:
    name = experiment.name
    if experiment.is_running:
        return f"{name} runs already{_since(experiment.started_at)}: a draft has `status: draft`."
    return f"{name} was stopped{_since(experiment.stopped_at)} and cannot start again: copy it under another name."


def _since(moment: dt.datetime | None) -> str:
    return f" (since {moment:%Y-%m-%d %H:%M} UTC)" if moment else ""


def _check_models(experiment: Experiment, models: Collection[str]) -> None:
    for each in experiment.variants:
        if each.model not in models:
            raise InputError(
                f"{each.name} of {experiment.name} names the model {each.model}, which is neither an alias nor a version:"
                " `recsys models` lists them, and `recsys promote VERSION --as challenger` sets an alias."
            )


def _check_weights(experiment: Experiment, weights: Mapping[str, float]) -> None:
    known = [each.name for each in experiment.variants]
    for name, weight in weights.items():
        if name not in known:
            raise InputError(f"{experiment.name} has no variant {name}: name one of {', '.join(known)}.")
        if not 0 < weight <= 100:
            raise InputError(
                f"{name} cannot have {weight:g} % of the visitors: give more than 0 and at most 100, or stop it."
            )
        if abs(weight / _STEP - round(weight / _STEP)) > 1e-6:
            raise InputError(
                f"{name} cannot have {weight:g} % of the visitors: a hundredth of a percent is the finest step."
            )


def _check_room(experiments: Experiments, after: Experiment) -> None:
    shared = [each for each in experiments.running if each.layer == after.layer and each.name != after.name]
    others = sum(variant.weight for each in shared if after.layer for variant in each.variants)
    total = sum(each.weight for each in after.variants)
    if total + others > 100 + 1e-9:
        rest = f", and {others:g} % belong to other experiments of the layer {after.layer}" if others else ""
        raise InputError(
            f"The variants of {after.name} would have {total:g} % together{rest}: at most 100 is possible."
        )


def _buckets_of_others(experiments: Experiments, experiment: Experiment) -> list[tuple[int, int]]:
    if not experiment.layer:
        return []
    others = (each for each in experiments.running if each.layer == experiment.layer and each.name != experiment.name)
    return [(start, end) for each in others for _, start, end in each.ranges]


def _is_least(before: Experiment, after: Experiment) -> bool:
    """Whether the buckets that follow from the weights alone move no more visitors than must."""
    sizes = sizes_of(each.weight for each in after.variants)
    moved = partial(moved_buckets, before.ranges)
    return moved(ranges_of(sizes)) <= moved(moved_ranges(before.ranges, sizes))


def _edit(action: Action, text: str, before: Experiment, after: Experiment, where: str) -> Edit:
    """The edit of a text; what it gives must be what was meant, and valid beside the other experiments.

    The others of a layer get the buckets that they own written down too: what they own must not depend on this one.
    """
    others = [each for each in _parsed(text, where).running if after.layer and each.layer == after.layer]
    edited = _with_experiments(text, after, [each for each in others if each.name != after.name])
    if experiment_named(_parsed(edited, where), after.name) != after:
        raise InputError(
            f"{where} cannot be edited where {after.name} stands: write it in block style, without anchors."
        )
    return Edit(action, text, edited, before, after)


def _with_experiments(text: str, after: Experiment, others: Iterable[Experiment]) -> str:
    """The text with what commands may change of an experiment, and the buckets of others; all else stays as it is written."""
    yaml, content = _editable(text)
    _write_fields(content[after.name], after)
    for each in (after, *others):
        _write_variants(content[each.name]["variants"], each)
    return _dumped(yaml, content)


def _editable(text: str) -> tuple[Any, Any]:
    """What writes a text as it was written, and the content of the text, which may be changed."""
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap
    from ruamel.yaml.util import load_yaml_guess_indent

    _, indent, offset = load_yaml_guess_indent(text)
    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 10_000
    yaml.indent(mapping=indent or 2, sequence=(indent or 2), offset=offset or 0)
    return yaml, yaml.load(text) or CommentedMap()


def _dumped(yaml: Any, content: Any) -> str:
    out = StringIO()
    yaml.dump(content, out)
    return out.getvalue()


def _write_fields(entry: Any, after: Experiment) -> None:
    _put_first(
        entry,
        status=after.status,
        started_at=after.started_at,
        stopped_at=after.stopped_at,
        definition=after.definition or None,
    )
    if after.plan:
        _put_first(entry["plan"], starts_on=after.plan.starts_on, stopped_on=after.plan.stopped_on)


def _write_variants(entries: Any, experiment: Experiment) -> None:
    for variant in experiment.variants:
        own = entries[variant.name]
        if float(own["weight"]) != variant.weight:
            own["weight"] = int(variant.weight) if variant.weight.is_integer() else variant.weight
        if variant.buckets or "buckets" in own:
            own["buckets"] = variant.buckets


def _put_first(entry: Any, **values: Any) -> None:
    """Set values; new ones at the top: what is put behind the last line would come after the comment of the next experiment."""
    place = 0
    for name, value in values.items():
        if name in entry:
            place = list(entry).index(name) + 1
            if value is not None and entry[name] != value:
                entry[name] = value
        elif value is not None:
            entry.insert(place, name, value)
            place += 1
