"""Open a world in a notebook: query it, evaluate variants, read experiments, estimate policies.

Belongs here: what a world is asked. Does not: what it answers (comparison.py, experiment_result.py, policies.py).

Nothing here writes. Where the warehouse is DuckDB, the copy for readers is read, also while a run writes the warehouse; in Snowflake
the role of the settings needs no more than to read `marts`, `published` and `ops`.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from recsys_platform.common.errors import InputError, WarehouseError
from recsys_platform.config.factories import hub_of, list_rules_of, reading_copy_of, variants_of, warehouse_of
from recsys_platform.config.settings import Settings, load_settings
from recsys_platform.experiments.definitions import experiment_named
from recsys_platform.experiments.published_policies import evaluate_published
from recsys_platform.experiments.readouts import read_experiment
from recsys_platform.notebook.comparison import Comparison
from recsys_platform.notebook.experiment_result import ExperimentResult
from recsys_platform.notebook.policies import PolicyResult
from recsys_platform.notebook.progress import shown_progress
from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.data.training_data import latest_dataset
from recsys_platform.recommender.evaluation.evaluate import ALL, Evaluation
from recsys_platform.recommender.evaluation.results import VALUES, StoredResults, stored_results
from recsys_platform.recommender.lists.list_builder import best_lists, list_builder_for
from recsys_platform.recommender.ranking.top_k import NONE
from recsys_platform.recommender.registry.versions import PRODUCTION
from recsys_platform.recommender.training.candidates import EVALUATION, evaluate_variants
from recsys_platform.recommender.training.fitting import Fitter
from recsys_platform.recommender.training.variants import BASELINE, Variants, components_of, with_variant
from recsys_platform.serving.routing_files import experiments_of
from recsys_platform.warehouse.port import Warehouse
from recsys_platform.warehouse.queries import relation_names, row_counts

__all__ = ["World", "open_world"]

_NEWEST_EVALUATION = f"select data_hash from {VALUES} order by evaluated_at desc limit 1"
_LIVE = "select model from published.model_roles where is_live"
_READABLE = ("marts.", "published.", "ops.")


class World:
    """A world to read: one installation's marts, published lists, evaluations and experiments.

    `settings`: those that it was opened with.
    """

    def __init__(self, settings: Settings, *, kept: TemporaryDirectory[str] | None = None) -> None:
        """`kept`: a folder that is removed when the world is no longer used."""
        self.settings = settings
        self._warehouse: Warehouse = reading_copy_of(settings) if settings.env == "local" else warehouse_of(settings)
        self._kept = kept

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> pd.DataFrame:
        """Return the answer to a query. `parameters`: values for the `?` in it.

        Decimals become floats and dates become timestamps, so that all columns can be drawn. WarehouseError if a table is missing.
        """
        found = self._warehouse.frame(sql, parameters)
        exact = {field.name for field in found.schema if pa.types.is_decimal(field.type)}
        fields = [field.with_type(pa.float64()) if field.name in exact else field for field in found.schema]
        answer: pd.DataFrame = found.cast(pa.schema(fields)).to_pandas(date_as_object=False)
        return answer

    def tables(self) -> pd.DataFrame:
        """Return the marts, published lists and tables of `ops` that can be queried, with their rows."""
        names = sorted(name for name in relation_names(self._warehouse) if name.startswith(_READABLE))
        rows = row_counts(self._warehouse, names)
        named = [name for name in names if "__" not in name]  # versions of published lists
        return pd.DataFrame({"table": named, "rows": [rows.get(name) for name in named]}).set_index("table")

    def evaluation(self) -> Comparison:
        """Return the newest evaluation of the platform's own runs. WarehouseError if there is none."""
        newest = self._warehouse.frame(_NEWEST_EVALUATION)["data_hash"].to_pylist()
        found = stored_results(newest[0], self._warehouse) if newest else None
        if found is None:
            raise WarehouseError("Nothing was evaluated yet: run `recsys run` first.")
        tested = int(found.values.loc[found.values["segment"] == ALL, "users"].max())
        how = found.task.held_out or "all likes after one time are held out"
        protocol = f"What {tested:,} readers with history {found.task.verb} next: {how}."
        return self._compare(found, int(found.values["k"].iloc[0]), protocol, found.values)

    def try_variant(self, name: str, recipe: Mapping[str, Any], *, against: Sequence[str] = ()) -> Comparison:
        """Train a variant on the past and compare it with the live model and the baseline on what the same readers liked next.

        Args:
            name: a name that no variant of the world has.
            recipe: `model` and the parameters that differ from its defaults, as in `variants.yaml`.
            against: further variants to compare with. The live model and its components are always among them.

        Raises:
            InputError: `against` names no variant.
            ModelError: the name is taken, or the model or a parameter is unknown or invalid.
            DataError: there are no training data, or no reader to test on.
        """
        variants, live = with_variant(variants_of(self.settings), name, recipe), self._live_model()
        live = live if live in variants else None
        wanted = _with_components([BASELINE, *([live] if live else []), *against, name], variants)
        chosen = {each: variants[each] for each in variants if each in wanted}
        with shown_progress(f"{', '.join(chosen)}: trained and tested") as on_progress:
            found = evaluate_variants(
                self._data(), variants=chosen, params=EVALUATION, live=live, on_progress=on_progress
            )
        return self._compare(found, found.k, found.protocol, found.table)

    def recommend(self, user_id: str, name: str, recipe: Mapping[str, Any], *, k: int = 10) -> pd.DataFrame:
        """Train a variant on all data and return a reader's list, by the list rules of the world.

        Raises `InputError` for a reader who is not in the training data, others as `try_variant`.
        """
        variants, data = with_variant(variants_of(self.settings), name, recipe), self._data()
        places = np.flatnonzero(np.asarray(data.user_ids) == user_id)
        if not len(places):
            raise InputError(f"{user_id} is not in the training data: take a `user_id` of marts.dim_users.")
        builder = list_builder_for(list_rules_of(self.settings), data)
        with shown_progress(f"{name}: trained on all data") as on_progress:
            model = Fitter(data, variants, on_progress).fit(name)
        (ranked,) = best_lists(model.scores, places.astype(np.int32), builder, k=k)
        books = [str(data.book_ids[book]) for book in ranked.books[0] if book != NONE]
        return pd.DataFrame({"book_id": books}, index=pd.RangeIndex(1, len(books) + 1, name="rank"))

    def experiments(self) -> pd.DataFrame:
        """Return the experiments of the world: status, variants, planned days and metrics."""
        rows = [
            {
                "experiment": each.name,
                "status": each.status,
                "variants": ", ".join(f"{variant.name} {variant.weight:g} %" for variant in each.variants),
                "has_plan": each.plan is not None,
                "starts_on": each.plan and each.plan.starts_on,
                "last_day": each.plan and each.plan.last_day,
                "primary": ", ".join(each.plan.primary) if each.plan else "",
                "hypothesis": each.hypothesis,
            }
            for each in experiments_of(self.settings)
        ]
        columns = ["experiment", "status", "variants", "has_plan", "starts_on", "last_day", "primary", "hypothesis"]
        return pd.DataFrame(rows, columns=columns).set_index("experiment")

    def experiment(self, name: str) -> ExperimentResult:
        """Read an experiment. Raises `InputError` if there is none of that name, or if it has no plan to be judged by."""
        found = experiment_named(experiments_of(self.settings), name)
        report = read_experiment(self._warehouse, found)
        assert found.plan  # noqa: S101  # `read_experiment` refuses others
        return ExperimentResult(name, found.plan, report)

    def off_policy(self) -> PolicyResult:
        """Estimate how often the published lists of each model would have been clicked, from positions that were filled by chance."""
        return PolicyResult(evaluate_published(self._warehouse))

    def __repr__(self) -> str:
        place = self.settings.home if self.settings.env == "local" else self.settings.warehouse_place
        return f"World({str(place)!r})"

    def _data(self) -> Dataset:
        return latest_dataset(hub_of(self.settings))

    def _live_model(self) -> str | None:
        if "published.model_roles" not in relation_names(self._warehouse):
            return None
        return next(iter(self._warehouse.frame(_LIVE)["model"].to_pylist()), None)

    def _compare(self, found: StoredResults | Evaluation, k: int, protocol: str, values: pd.DataFrame) -> Comparison:
        live = self._live_model()
        known = live if live in found.models else PRODUCTION if PRODUCTION in found.models else None
        return Comparison(k, protocol, known, values, found.differences, found)


def _with_components(names: Iterable[str], variants: Variants) -> set[str]:
    """Some variants and the components of those that are blends."""
    wanted = list(names)
    unknown = next((name for name in wanted if name not in variants), None)
    if unknown:
        raise InputError(f"{unknown} is no variant of this world: choose from {', '.join(variants)}.")
    return {*wanted, *(part for name in wanted for part in components_of(variants[name]))}


def open_world(home: str | Path | None = None) -> World:
    """Open a world to read.

    Args:
        home: the folder of a world on this machine; by default the environment says which one (`RECSYS_HOME`, or `RECSYS_ENV=aws` and
            what it needs).

    Raises:
        WarehouseError: there is no warehouse, or nothing was run in it yet.
        SettingsError: a setting is unknown or invalid.
    """
    world = World(load_settings(None if home is None else {"RECSYS_HOME": str(home)}))
    world.query("select 1")
    return world
