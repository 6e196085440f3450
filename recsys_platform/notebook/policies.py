"""Off-policy estimates, as a notebook makes and reads them.

Belongs here: tables and plots of estimates, policies of one's own. Does not: the estimators (experiments/off_policy.py), which
exposures count for published lists (experiments/published_policies.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
import pyarrow as pa

from recsys_platform.experiments.plots import policies_plot
from recsys_platform.experiments.published_policies import PolicyReport, evaluate_policy
from recsys_platform.notebook.plot import Plot

__all__ = ["PolicyResult", "evaluate_policies"]

_LOGGED = ["visitor_id", "book_id", "position", "propensity", "is_clicked"]


@dataclass(frozen=True, eq=False)
class PolicyResult:
    """Estimated clicks per shown book of some policies, from positions that were filled by chance."""

    _report: PolicyReport = field(repr=False)

    @property
    def sentence(self) -> str:
        """Which policy would significantly be clicked more often than the others, or why there is no estimate."""
        return self._report.why_nothing or self._report.headline

    def table(self) -> pd.DataFrame:
        """Return a row for each policy and estimator.

        `value`: clicks per shown book, with a 95 % interval from `low` to `high`. `gain`: the same minus what the drawn books got.
        `could_be_shown`: share of the policy's books that chance could have shown; the rest is not judged. `agreeing`: exposures that
        show the book of the policy; all information comes from them and their `clicks`.
        """
        rows = [
            {
                "policy": model.model,
                "estimator": each.estimator,
                **{name: getattr(each, name) for name in ("value", "low", "high", "gain", "gain_low", "gain_high")},
                "could_be_shown": each.coverage,
                "agreeing": model.agreeing,
                "clicks": model.clicks,
                "doubts": " ".join(each.warnings),
            }
            for model in self._report.models
            for each in model.estimates
        ]
        return pd.DataFrame(rows).set_index(["policy", "estimator"]) if rows else pd.DataFrame()

    def left_out(self) -> pd.DataFrame:
        """Return how many exposures were left out of the estimates of published lists, by reason."""
        reasons = [*self._report.left_out.items()]
        return pd.DataFrame(reasons, columns=["exposures", "number"]).set_index("exposures")

    def plot(self) -> Plot:
        """Draw each estimate with its interval beside the clicks of the drawn books. ValueError if there is none."""
        if self._report.why_nothing:
            raise ValueError(self.sentence)
        return Plot(policies_plot(self._report))


def evaluate_policies(shown: pd.DataFrame, listed: Mapping[str, Sequence[str | None]]) -> PolicyResult:
    """Estimate how often the books of some policies would have been clicked, by IPS, SNIPS and a doubly robust estimator.

    Args:
        shown: a row for each book that chance chose: visitor_id, book_id, position, propensity (its probability, above 0 and below 1)
            and is_clicked, as in `marts.fct_exposures`; only the first showing of a draw.
        listed: by policy, the book that it would have shown in each row; None for none.

    Raises:
        DataError: a propensity is missing or impossible, or there is no row.
    """
    log = pa.Table.from_pandas(shown[_LOGGED], preserve_index=False)
    models = tuple(
        evaluate_policy(name, log.append_column("listed_id", pa.array(books, pa.string())), used=len(log))
        for name, books in listed.items()
    )
    return PolicyResult(PolicyReport(models, used=len(log)))
