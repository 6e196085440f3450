"""How fast models are trained and turned into lists, against the libraries that do the same.

    python benchmarks/training.py [--users N] [--books N] [--components C] [--k K] [--repeat N] [--json]

`fit_ratio`: our LightFM, from data set to model, ÷ bare `LightFM.fit` on the same matrices, made before. `topk_ratio`: the best k
books of all users ÷ the float32 product of their factors alone, by BLAS on all cores, in blocks. `topk_speedup_vs_predict`:
`LightFM.predict` for one user after another, on a sample, ÷ ours per user. `topk_memory_gb`: memory over the factors. `one_user_ms`:
one reader at 10,000 books, by rules as in published lists. `fold_in_ms`: scores of one reader whom training never saw, at 10,000
books, by the slowest of our models. All that is compared is run in turns; figures are medians (`fit_ratio`: of five
times as many turns, since a fit takes seconds, in which a busy machine does not keep its pace).
"""

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Any

import numba
import numpy as np
import pandas as pd
import psutil
from implicit.cpu.topk import topk as implicit_topk
from measure import Budget, keeps_all, print_table, show
from scipy import sparse

from recsys_platform.recommender.arrays import FloatArray
from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.data.interactions import build_dataset
from recsys_platform.recommender.models.histories import histories_of
from recsys_platform.recommender.models.lightfm import (
    LightFMParams,
    fit_lightfm,
    training_matrices,
    untrained_model,
    with_identity,
)
from recsys_platform.recommender.ranking.top_k import BLOCK, Allowed, Factors, top_k
from recsys_platform.recommender.training.fitting import Fitter
from recsys_platform.recommender.training.variants import Variant, load_variants

BUDGET = {
    "fit_ratio": Budget("≤", 1.1),
    "topk_ratio": Budget("≤", 2),
    "topk_memory_gb": Budget("≤", 1),
    "topk_speedup_vs_predict": Budget("≥", 20),
    "one_user_ms": Budget("≤", 1),
    "fold_in_ms": Budget("≤", 1),
}
ONE_USER_BOOKS = 10_000
PREDICTED = 100
"""Users that `LightFM.predict` is timed on."""

Work = Callable[[], object]


def in_turns(repeat: int, **works: Work) -> dict[str, float]:
    """Median seconds of each, after one run of each that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(repeat + 1):
        for name, work in works.items():
            started = time.perf_counter()
            work()
            if turn:
                seconds[name].append(time.perf_counter() - started)
    return {name: median(values) for name, values in seconds.items()}


def random_factors(users: int, books: int, components: int) -> Factors:
    """Gaussian factors: nothing about them can be guessed, so no bound skips work."""
    random = np.random.default_rng(0)
    return Factors(
        random.standard_normal((users, components), dtype=np.float32),
        random.standard_normal((books, components), dtype=np.float32),
        np.zeros(books, np.float32),
    )


def bare_product(factors: Factors) -> None:
    """The scores of all users, a block at a time, each thrown away."""
    scores = np.empty((BLOCK, len(factors.books)), np.float32)
    for start in range(0, len(factors.users), BLOCK):
        some = factors.users[start : start + BLOCK]
        np.matmul(some, factors.books.T, out=scores[: len(some)])


def by_implicit(factors: Factors, k: int) -> None:
    """`implicit`'s top-k, in batches as its models call it."""
    for start in range(0, len(factors.users), BLOCK):
        implicit_topk(factors.books, factors.users[start : start + BLOCK], k, num_threads=0)


def by_partition(factors: Factors, k: int) -> None:
    """numpy: product, argpartition, sort."""
    for start in range(0, len(factors.users), BLOCK):
        scores = factors.users[start : start + BLOCK] @ factors.books.T
        best = np.argpartition(-scores, k, axis=1)[:, :k]
        np.take_along_axis(best, np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1), axis=1)


@numba.njit(parallel=True)
def _plain_scan(scores: FloatArray, values: FloatArray, books: np.ndarray) -> None:
    for row in numba.prange(scores.shape[0]):
        worst = 0
        for column in range(scores.shape[1]):
            if scores[row, column] > values[row, worst]:
                values[row, worst], books[row, worst] = scores[row, column], column
                worst = np.argmin(values[row])


def by_plain_scan(factors: Factors, k: int) -> None:
    """numba: product, then one comparison after another with the worst of the best."""
    for start in range(0, len(factors.users), BLOCK):
        scores = factors.users[start : start + BLOCK] @ factors.books.T
        values = np.full((len(scores), k), -np.inf, np.float32)
        _plain_scan(scores, values, np.zeros((len(scores), k), np.int32))


def by_faiss(factors: Factors, k: int) -> None:
    """faiss' exhaustive inner product search."""
    import faiss

    for start in range(0, len(factors.users), 4096):
        faiss.knn(factors.users[start : start + 4096], factors.books, k, metric=faiss.METRIC_INNER_PRODUCT)


def peers(factors: Factors, k: int) -> dict[str, Work]:
    """The peers that are installed."""
    found: dict[str, Work] = {
        "implicit": lambda: by_implicit(factors, k),
        "numpy argpartition": lambda: by_partition(factors, k),
        "plain numba scan": lambda: by_plain_scan(factors, k),
    }
    try:
        import faiss  # noqa: F401
    except ImportError:
        print("faiss is not installed and is left out: pip install faiss-cpu", file=sys.stderr)
        return found
    return {**found, "faiss": lambda: by_faiss(factors, k)}


def measure_topk(given: argparse.Namespace) -> tuple[dict[str, float], list[list[str]]]:
    """Figures, and a row for each way of doing it."""
    factors = random_factors(given.users, given.books, given.components)
    everyone = np.arange(given.users, dtype=np.int32)
    top_k(factors, everyone[:1], k=given.k)  # compiles
    memory = peak_over(lambda: top_k(factors, everyone, k=given.k))  # before peers leave room that is free to be taken
    works: dict[str, Work] = {
        "product alone": lambda: bare_product(factors),
        "recsys_platform": lambda: top_k(factors, everyone, k=given.k),
        **peers(factors, given.k),
    }
    seconds = in_turns(given.repeat, **works)
    product = seconds["product alone"]
    rows = [
        [name, f"{value:.2f}", f"{value / product:.2f}"] for name, value in sorted(seconds.items(), key=lambda x: x[1])
    ]
    predicted = predict_seconds(given) / PREDICTED
    return {
        "topk_ratio": seconds["recsys_platform"] / product,
        "topk_ratio_of_best_peer": min(
            seconds[name] for name in works if name not in ("product alone", "recsys_platform")
        )
        / product,
        "topk_speedup_vs_predict": predicted / (seconds["recsys_platform"] / given.users),
        "topk_memory_gb": memory,
    }, rows


def predict_seconds(given: argparse.Namespace) -> float:
    """LightFM's own prediction and sorting for a sample of users."""
    model = untrained_model(LightFMParams(components=given.components))
    nothing = sparse.coo_matrix((PREDICTED, given.books), dtype=np.float32)
    model.fit_partial(nothing, epochs=0)
    books = np.arange(given.books, dtype=np.int32)

    def predict() -> None:
        for user in range(PREDICTED):
            np.argsort(-model.predict(user, books))[: given.k]

    return in_turns(1, predict=predict)["predict"]


def peak_over(work: Work) -> float:
    """Gigabytes of resident memory that something takes over what is there already."""
    process = psutil.Process()
    before, peak, done = process.memory_info().rss, [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            peak[0] = max(peak[0], process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    work()
    done.set()
    watcher.join()
    return max(0.0, (peak[0] - before) / 1e9)


def one_user_ms(given: argparse.Namespace) -> float:
    """Milliseconds of one list, of 10,000 books, 50 of them finished; ten languages by two tiers may read half of the books each."""
    factors, random = random_factors(100, ONE_USER_BOOKS, given.components), np.random.default_rng(1)
    seen = sparse.random_array((100, ONE_USER_BOOKS), density=0.005, format="csr", rng=random, dtype=np.float32)
    rules = Allowed(random.random((20, ONE_USER_BOOKS)) < 0.5, random.integers(0, 20, 100).astype(np.int32), seen)
    users = [np.array([user], np.int32) for user in range(100)]
    top_k(factors, users[0], k=given.k, allowed=rules)
    seconds = []
    for user in users * 5:
        started = time.perf_counter()
        top_k(factors, user, k=given.k, allowed=rules)
        seconds.append(time.perf_counter() - started)
    return median(seconds) * 1000


def fold_in_ms(repeat: int) -> dict[str, float]:
    """Milliseconds of the scores of one reader with 20 liked books of 10,000, drawn to what is popular, by model.

    Models are trained in two epochs; all components of the blend count.
    """
    data = random_data(readers=5_000, books=ONE_USER_BOOKS, liked=20)
    variants = {name: _hurried(variant) for name, variant in load_variants().items()}
    fitter, histories = Fitter(data, variants), histories_of(data)
    readers = [histories.take(np.array([user], np.int32)) for user in range(100)]
    models: dict[str, Any] = {name: fitter.fit(name) for name in variants}
    blend = models["blend"].model
    models["blend"] = replace(models["blend"], model=replace(blend, weights=np.ones_like(blend.weights)))
    works = {name: partial(_each, model.fold_in, readers) for name, model in models.items()}
    return {name: seconds * 10 for name, seconds in in_turns(repeat, **works).items()}


def _hurried(variant: Variant) -> Variant:
    few = {"epochs": 2} if hasattr(variant.params, "epochs") else {}
    return replace(variant, params=replace(variant.params, **few))


def _each(work: Callable[[Any], object], things: list[Any]) -> None:
    for thing in things:
        work(thing)


def random_data(*, readers: int, books: int, liked: int) -> Dataset:
    """So many readers who liked so many books at random, a book a day, five books an author."""
    random = np.random.default_rng(0)
    users, those = np.repeat(np.arange(readers), liked), random.integers(books, size=readers * liked)
    rows = pd.DataFrame({"user_id": users, "book_id": those}).drop_duplicates().astype(str)
    days = pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(len(rows)) % liked, unit="D")
    rows = rows.assign(weight=1.0, is_positive=True, is_finished=True, last_at=days)
    catalog = pd.DataFrame(
        {"book_id": [str(book) for book in range(books)], "author": [f"a{book // 5}" for book in range(books)]}
    )
    return build_dataset(rows, pd.DataFrame({"user_id": [str(user) for user in range(readers)]}), catalog)


def fit_ratio(repeat: int) -> float:
    """Ours ÷ bare, for 3,000 readers with 40 books each of 2,000, features included, ten epochs."""
    data = random_data(readers=3_000, books=2_000, liked=40)
    params = LightFMParams(epochs=10)
    features = [with_identity(each, params) for each in (data.user_features, data.book_features)]
    pairs, weights = training_matrices(data.interactions, data.shape, params)

    def bare() -> None:
        untrained_model(params).fit(pairs, *features, sample_weight=weights, epochs=params.epochs, num_threads=1)

    seconds = in_turns(repeat, ours=lambda: fit_lightfm(data, params), bare=bare)
    return seconds["ours"] / seconds["bare"]


def main() -> None:
    """Measure, print tables or one JSON object, and exit with 1 where a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=50_000)
    parser.add_argument("--books", type=int, default=50_000)
    parser.add_argument("--components", type=int, default=64)
    parser.add_argument("--k", type=int, default=50)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    figures, rows = measure_topk(given)
    fold_in_times = fold_in_ms(given.repeat)
    figures |= {"fit_ratio": fit_ratio(5 * given.repeat), "one_user_ms": one_user_ms(given)}
    figures["fold_in_ms"] = max(fold_in_times.values())
    if given.json:
        print(json.dumps(figures))
    else:
        print(f"top {given.k} of {given.users:,} users x {given.books:,} books x {given.components} factors")
        print_table(["how", "seconds", "÷ product alone"], rows)
        print("\nscores of one reader, folded in")
        print_table(["model", "milliseconds"], [[name, f"{value:.3f}"] for name, value in fold_in_times.items()])
        print()
        show(figures, BUDGET)
    sys.exit(not keeps_all(figures, BUDGET))


if __name__ == "__main__":
    main()
