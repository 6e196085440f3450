"""How good the recommendations are: every variant against its peers on public data, and against the simulated readers' true taste.

    python benchmarks/quality.py [--only PART,PART] [--goodbooks FOLDER]
                                 [--movielens FOLDER] [--home FOLDER] [--tuned FOLDER]
                                 [--trials N] [--seconds S] [--seeds N] [--jobs N] [--folds N]
                                 [--readers N] [--books N] [--json]

`ml100k`: MovieLens-100K, ratings from 4 up are liked, each reader's latest fifth is held out, NDCG@10, what was liked before is
filtered.
`ml100k_stratified`: the protocol of Microsoft's `recommenders`: all ratings are liked, a quarter of each film's is held out.
`cold`: a fifth of the books is hidden from training, AUC among themselves. `fold_in`: in each of so many folds some readers are
hidden, then known by 80 % of what they liked: NDCG@10 without training again ÷ with. `goodbooks`: goodbooks-10k, a random fifth
of each reader's ratings from 4 up. `goodbooks_sparse`: six of each reader's ratings from 4 up, a random fifth (rounded up) held out,
the variants as they come beside the dense EASE over all books and a plain count. `world`: the demo's world, as the platform itself
measures it. `world_views`: the same with all events but views left out, a world a seed, beside the oracle, which ranks by the odds
that the simulated readers open books by; `--readers` and `--books` make it another size. `ml100k_published`,
`goodbooks_published`: the same held out from the whole road, `recsys import` and `run` in a world of its own: NDCG@10 of the published
lists of what is live, beside every model that was trained. Variants and peers are tuned
on an inner split of the first seed's training data, each with the same number of trials or seconds; then all are trained on
every seed's split, `--jobs` seeds at a time, each on one core. What the searches found is kept in the folder of `--tuned`, and the
next run goes on from there.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numba
import numpy as np
import quality_data as sets
from measure import Budget, keeps_all, print_table, show, watch
from quality_peers import PEERS, Found, Scored
from quality_published import figures_of, published
from quality_views import viewed
from scipy.stats import rankdata
from threadpoolctl import threadpool_limits

from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.data.splits import Split
from recsys_platform.recommender.errors import NothingToLearnError
from recsys_platform.recommender.evaluation.search_score import mean_ndcg
from recsys_platform.recommender.models.histories import histories_of
from recsys_platform.recommender.models.protocol import Recommender
from recsys_platform.recommender.training.fitting import Fitter
from recsys_platform.recommender.training.tuning import SPACES, TuningParams, tune_variant
from recsys_platform.recommender.training.variants import Variant, load_variants, variant_of
from recsys_platform.reports.overview import overview
from recsys_platform.simulation.truth import load_truth, mean_true_affinity
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse

RECSYS = Path(sys.executable).with_name("recsys")
TOP = "select user_id, book_id from published.user_recommendations where model = ? and rank <= 10"
K = 10
SPARSE_LIKES = 6
"""A reader of `goodbooks_sparse`."""
BUDGET = {
    "ml100k_blend_vs_single": Budget("≥", 1.03),
    "ml100k_blend_vs_peer": Budget("≥", 1.12),
    "ml100k_stratified": Budget("≥", 0.48),
    "goodbooks_blend_vs_single": Budget("≥", 1),
    "goodbooks_blend_vs_peer": Budget("≥", 1.04),
    "goodbooks_sparse_blend_vs_ease": Budget("≥", 1),
    "cold_books_auc": Budget("≥", 0.76),
    "fold_in_ratio": Budget("≥", 0.97),
}
PARTS = (
    "ml100k",
    "ml100k_published",
    "ml100k_stratified",
    "cold",
    "fold_in",
    "goodbooks",
    "goodbooks_sparse",
    "goodbooks_published",
    "world",
    "world_views",
)
Cut = Callable[..., Split]


@dataclass(frozen=True)
class Bench:
    """What is measured on, how hard it is tuned, how often it is repeated."""

    given: argparse.Namespace
    tuning: TuningParams
    figures: dict[str, object] = field(default_factory=dict)

    @property
    def seeds(self) -> range:
        """Of splits and of models."""
        return range(self.given.seeds)

    def tell(self, text: str) -> None:
        """Progress, beside the result."""
        print(text, file=sys.stderr, flush=True)


Means = dict[str, list[float]]


def compare(bench: Bench, name: str, data: Dataset, cut: Cut) -> None:
    """NDCG@10 of every variant and peer, by seed."""
    inner = cut(cut(data, seed=0).train, seed=0)
    variants = tuned_variants(bench, name, inner)
    peers = {who: kept(bench, name, who, tuned_peer(bench, who, inner)) for who in PEERS}
    show_means(bench, name, measured(bench, data, cut, variants, peers))


def measured(
    bench: Bench, data: Dataset, cut: Cut, variants: Mapping[str, Variant], peers: Mapping[str, Found]
) -> Means:
    """NDCG@10 of all, with the parameters that were found, on every seed's split."""
    found: Means = {}
    with ProcessPoolExecutor(bench.given.jobs, get_context("spawn"), one_core) as pool:
        all_seeds = pool.map(partial(of_seed, data, cut, variants, peers), bench.seeds)
        for seed, ours in zip(bench.seeds, all_seeds, strict=True):
            for name, value in ours.items():
                found.setdefault(name, []).append(value)
            bench.tell(f"seed {seed}: " + ", ".join(f"{name} {value:.4f}" for name, value in ours.items()))
    return found


def one_core() -> None:
    """Beside other seeds, more threads would only wait for each other."""
    threadpool_limits(1)
    numba.set_num_threads(1)


def of_seed(
    data: Dataset, cut: Cut, variants: Mapping[str, Variant], peers: Mapping[str, Found], seed: int
) -> dict[str, float]:
    """NDCG@10 of all on one seed's split."""
    split = cut(data, seed=seed)
    fitter = Fitter(split.train, seeded(variants, seed), hold_out=cut)
    models = {name: fitter.fit_without_fallback(name) for name in fitter.learnable(variants)}
    others = {name: PEERS[name].on(split, parameters, seed) for name, parameters in peers.items()}
    return {name: mean_ndcg(model, split, K) for name, model in (models | others).items()}  # type: ignore[arg-type]


def tuned_variants(bench: Bench, what: str, inner: Split) -> dict[str, Variant]:
    """The platform's variants with the parameters that are best on the inner split."""
    variants = {name: _for_public_data(variant) for name, variant in load_variants().items()}
    for name, variant in variants.items():
        if variant.model in SPACES:
            own = vars(variant.params) | kept(bench, what, name, tuned_variant(bench, name, variants, inner))
            variants[name] = variant_of(name, {"model": variant.model, **own})
    return variants


def tuned_variant(bench: Bench, name: str, variants: Mapping[str, Variant], inner: Split) -> Callable[[], Found]:
    """The search for one variant, to be made if it was not before; it finds nothing for one that cannot learn from these data."""

    def search() -> Found:
        try:
            return tune_variant(name, variants, inner, bench.tuning, progress(bench)).parameters
        except NothingToLearnError as error:
            bench.tell(f"{name} is left out: {error}")
            return {}

    return search


def tuned_peer(bench: Bench, name: str, inner: Split) -> Callable[[], Found]:
    """The search for one peer, to be made if it was not before."""
    return lambda: PEERS[name].tuned(name, inner, bench.tuning, progress(bench))


def kept(bench: Bench, what: str, name: str, search: Callable[[], Found]) -> dict[str, Any]:
    """What a search finds, or found in an earlier run with the same folder of `--tuned`."""
    path = bench.given.tuned / f"{what}-{name}.json" if bench.given.tuned else None
    if path and path.exists():
        return json.loads(path.read_text())
    found = dict(search())
    bench.tell(f"{name}: {found}")
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found))
    return found


def _for_public_data(variant: Variant) -> Variant:
    """EASE is exact over all books."""
    own = {"ease": {"max_books": 10_000}}.get(variant.model, {})
    return replace(variant, params=replace(variant.params, **own))


def seeded(variants: Mapping[str, Variant], seed: int) -> dict[str, Variant]:
    """The same with another seed, where a model has one."""
    return {
        name: replace(variant, params=replace(variant.params, seed=seed))
        if hasattr(variant.params, "seed")
        else variant
        for name, variant in variants.items()
    }


def progress(bench: Bench) -> Callable[[str, int, float], None]:
    """Says every tenth trial."""

    def tell(name: str, done: int, best: float) -> None:
        if done % 10 == 0:
            bench.tell(f"  {name}: {done} trials, best {best:.4f}")

    return tell


def ml100k(bench: Bench) -> None:
    """The chronological protocol."""
    compare(bench, "ml100k", sets.movielens(bench.given.movielens).dataset(at_least=4), sets.latest)


def ml100k_published(bench: Bench) -> None:
    """The chronological protocol through the whole road."""
    end_to_end(bench, "ml100k_published", sets.movielens(bench.given.movielens), sets.latest)


def goodbooks_published(bench: Bench) -> None:
    """Books through the whole road; left out where the folder is not given."""
    if bench.given.goodbooks is None:
        bench.tell("goodbooks_published is left out: name its folder with --goodbooks")
        return
    end_to_end(bench, "goodbooks_published", sets.goodbooks(bench.given.goodbooks), sets.at_random)


def end_to_end(bench: Bench, name: str, ratings: sets.Ratings, cut: Cut) -> None:
    """What is live and published, by what the road never saw, on every seed's split."""
    found: Means = {}
    for seed in bench.seeds:
        with tempfile.TemporaryDirectory() as scratch:
            home = bench.given.home / f"{name}-{seed}" if bench.given.home else Path(scratch) / "home"
            done = published(ratings, cut, home, RECSYS, k=K, seed=seed)
        bench.tell(f"{name}, seed {seed}: {done}")
        for who, value in ({f"published lists of {done.live}, live": done.lists} | dict(done.models)).items():
            found.setdefault(who, []).append(value)
        bench.figures.setdefault(name, []).append(figures_of(done))  # type: ignore[attr-defined]
    show_simply(bench, f"{name}, NDCG@{K} on what was kept aside", found)


def ml100k_stratified(bench: Bench) -> None:
    """The protocol of `recommenders`."""
    compare(bench, "ml100k_stratified", sets.movielens(bench.given.movielens).dataset(at_least=1), sets.by_item)


def goodbooks(bench: Bench) -> None:
    """Books, at random; left out where the folder is not given."""
    if bench.given.goodbooks is None:
        bench.tell(
            "goodbooks is left out: name its folder (ratings.csv.gz, books.csv.gz, genres.csv.gz) with --goodbooks"
        )
        return
    compare(bench, "goodbooks", sets.goodbooks(bench.given.goodbooks).dataset(at_least=4), sets.at_random)


def goodbooks_sparse(bench: Bench) -> None:
    """Few likes a reader and a book, metadata given: the variants as they come; left out where the folder is not given."""
    if bench.given.goodbooks is None:
        bench.tell("goodbooks_sparse is left out: name its folder with --goodbooks")
        return
    data = sets.goodbooks(bench.given.goodbooks).thinned(SPARSE_LIKES, at_least=4).dataset(at_least=4)
    beside = {
        "ease over all books, dense": variant_of("ease", {"max_books": 10_000}),
        "plain count": variant_of("popularity", {"half_life_days": np.inf}),
    }
    found = measured(bench, data, sets.at_random, load_variants() | beside, {})
    show_simply(bench, f"goodbooks_sparse, NDCG@{K}", found)
    means = {who: float(np.mean(values)) for who, values in found.items()}
    bench.figures["goodbooks_sparse"] = means
    bench.figures["goodbooks_sparse_blend_vs_ease"] = means["blend"] / means["ease over all books, dense"]


def cold(bench: Bench) -> None:
    """Books that training has never seen, by their features: AUC among themselves."""
    data = sets.movielens(bench.given.movielens).dataset(at_least=4)
    found: Means = {}
    for seed in bench.seeds:
        hidden = np.random.default_rng(seed).random(data.shape[1]) < 0.2
        split = sets.without_books(data, hidden)
        fitter = Fitter(split.train, seeded(load_variants(), seed))
        for name in ("lightfm_content", "lightfm", "als"):
            found.setdefault(name, []).append(
                auc_among(fitter.fit_without_fallback(name), split, np.flatnonzero(hidden))
            )
    show_simply(bench, "cold books, AUC among themselves", found)
    bench.figures["cold_books_auc"] = max(float(np.mean(values)) for values in found.values())


def auc_among(model: Recommender, split: Split, books: np.ndarray) -> float:
    """The mean over readers of the share of (liked, other) pairs of `books` that stand in the right order; ties count half."""
    users = split.test_users
    scores = model.scores(users)[:, books]
    liked = split.test[users][:, books].toarray()
    ranks = rankdata(scores, axis=1)
    n_liked = liked.sum(axis=1)
    above = (ranks * liked).sum(axis=1) - n_liked * (n_liked + 1) / 2
    return float(np.mean(above / (n_liked * (len(books) - n_liked))))


def fold_in(bench: Bench) -> None:
    """A part of the readers at a time: known by four fifths of what they liked alone, against training again with these."""
    data = sets.movielens(bench.given.movielens).dataset(at_least=4)
    found: Means = {}
    for seed in bench.seeds:
        for name, ratio in folded_by_again(bench, data, seed).items():
            found.setdefault(name, []).append(ratio)
        bench.tell(f"fold-in, seed {seed}: " + ", ".join(f"{name} {values[-1]:.4f}" for name, values in found.items()))
    show_simply(bench, f"fold-in ÷ training again, NDCG@10 of all readers, in {bench.given.folds} folds", found)
    bench.figures["fold_in_ratio"] = float(np.mean(found["blend"]))


def folded_by_again(bench: Bench, data: Dataset, seed: int) -> dict[str, float]:
    """Of every variant that folds in, for one split and one way to put readers into folds."""
    split = sets.at_random(data, seed=seed)
    histories = histories_of(split.train)
    fold = np.random.default_rng(seed).permutation(data.shape[0]) % bench.given.folds
    variants = seeded(load_variants(), seed)
    after = Fitter(split.train, variants, hold_out=sets.at_random)
    sums = {name: np.zeros(2) for name in variants if name not in ("popularity", "lightfm_content")}
    for number in range(bench.given.folds):
        users = np.flatnonzero((fold == number) & (np.diff(split.test.indptr) > 0)).astype(np.int32)
        before = Fitter(sets.with_users(split.train, fold != number), variants, hold_out=sets.at_random)
        for name, both in sums.items():
            folded, again = before.fit(name).fold_in(histories.take(users)), after.fit(name).scores(users)
            both += [len(users) * ndcg_of(scores, split, users) for scores in (folded, again)]
    return {name: float(folded / again) for name, (folded, again) in sums.items()}


def ndcg_of(scores: np.ndarray, split: Split, users: np.ndarray) -> float:
    """NDCG@10 of scores that are there already, a row for each of `users`."""
    return mean_ndcg(Scored(lambda some: scores[some]), sets.rows_of(split, users), K)  # type: ignore[arg-type]


def world(bench: Bench) -> None:
    """The demo's world: the platform's own evaluation, and the readers' true taste."""
    with tempfile.TemporaryDirectory() as scratch:
        home = bench.given.home or Path(scratch) / "home"
        if bench.given.home is None:
            watch([RECSYS, "demo"], {"RECSYS_HOME": str(home)})
        warehouse, truth = DuckDBWarehouse(home / "warehouse.duckdb"), load_truth(home / "truth")
        quality = dict(overview(warehouse).quality)
        published = warehouse.frame("select distinct model from published.user_recommendations")["model"].to_pylist()
        liked = {name: affinity_of(name, warehouse, truth) for name in published}
    show_simply(bench, "world, NDCG@10", {name: [value] for name, value in quality.items()})
    show_simply(bench, "world, mean true affinity of the first ten", {name: [value] for name, value in liked.items()})
    bench.figures.update({"world": quality, "true_affinity": liked})


def world_views(bench: Bench) -> None:
    """The demo's world of views alone, a world a seed, beside what the simulation's tastes allow."""
    found: Means = {}
    for seed in bench.seeds:
        with tempfile.TemporaryDirectory() as scratch:
            home = bench.given.home / f"world_views-{seed}" if bench.given.home else Path(scratch) / "home"
            done = viewed(home, RECSYS, readers=bench.given.readers, books=bench.given.books, k=K, seed=seed)
        bench.tell(f"world_views, seed {seed}: {done.figures()}")
        live = {f"live ({done.live})": done.models[done.live], "oracle": done.oracle}
        for who, value in (live | dict(done.models)).items():
            found.setdefault(who, []).append(value)
        bench.figures.setdefault("world_views", []).append(done.figures())  # type: ignore[attr-defined]
    show_simply(bench, f"world_views, NDCG@{K} on what readers opened next", found)


def affinity_of(name: str, warehouse: DuckDBWarehouse, truth) -> float:  # noqa: ANN001
    """Mean true affinity of the first ten books of every list of a variant."""
    lists = warehouse.frame(TOP, [name])
    return mean_true_affinity(truth, user_ids=lists["user_id"].to_pylist(), book_ids=lists["book_id"].to_pylist())


def show_simply(bench: Bench, what: str, found: Means) -> None:
    """One row a model."""
    if not bench.given.json:
        rows = [[who, f"{np.mean(values):.4f} ± {np.std(values):.4f}"] for who, values in found.items()]
        print(f"\n{what}")
        print_table(["model", "mean ± sd"], rows)


def show_means(bench: Bench, name: str, found: Means) -> None:
    """One row a variant or peer: mean, deviation, and its share of the best peer and of the best single variant."""
    means = {who: float(np.mean(values)) for who, values in found.items()}
    peer = max(means[who] for who in PEERS)
    single = max(value for who, value in means.items() if who not in PEERS and who != "blend")
    rows = [
        [who, f"{means[who]:.4f} ± {np.std(values):.4f}", f"{means[who] / peer:.3f}", f"{means[who] / single:.3f}"]
        for who, values in sorted(found.items(), key=lambda item: means[item[0]])
    ]
    if not bench.given.json:
        print(f"\n{name}, {len(bench.seeds)} seeds")
        print_table([f"NDCG@{K}", "mean ± sd", "÷ best peer", "÷ best single variant"], rows)
    bench.figures[name] = means
    bench.figures[f"{name}_blend_vs_peer"] = means["blend"] / peer
    bench.figures[f"{name}_blend_vs_single"] = means["blend"] / single


def main() -> None:
    """Measure what is asked for, print tables or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--goodbooks", type=Path, default=None)
    parser.add_argument("--movielens", type=Path, default=None)
    parser.add_argument("--home", type=Path, default=None)
    parser.add_argument("--tuned", type=Path, default=None)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--readers", type=int, default=2000)
    parser.add_argument("--books", type=int, default=600)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    bench = Bench(given, TuningParams(trials=given.trials, seconds=given.seconds, k=K))
    for part in given.only.split(","):
        globals()[part](bench)
    figures = {name: value for name, value in bench.figures.items() if name in BUDGET}
    show(bench.figures if given.json else figures, BUDGET, as_json=given.json)
    sys.exit(not keeps_all(figures, BUDGET))


if __name__ == "__main__":
    main()
