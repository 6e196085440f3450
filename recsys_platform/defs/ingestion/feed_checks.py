"""Blocking checks for data loss in a feed, until the data is complete again or a person accepts the loss."""

import dagster as dg

from recsys_platform.common.errors import InputError
from recsys_platform.common.processes import current_user
from recsys_platform.config.settings import Settings
from recsys_platform.hub.layout import Attributes
from recsys_platform.hub.object_store import Hub
from recsys_platform.sources.feed_losses import check_newest_feed, feed_in_use, losses, newest_feed, note_in_use

_CHECK = "nothing_that_is_used_was_lost"


def accept_feed(hub: Hub, kind: Attributes, instance: dg.DagsterInstance, share: float, *, why: str) -> str:
    """Accept the newest snapshot in spite of its losses, so that downstream assets run; returns a sentence for people."""
    feed = newest_feed(hub, kind)
    if feed is None:
        raise InputError(f"There is no snapshot of {kind} in {hub.where('')}: there is nothing to accept.")
    before = feed_in_use(hub, kind)
    lost = losses(before, feed, share=share) if before else []
    if not lost:
        return f"The snapshot of {kind} of {feed.day} has no relevant loss: there is nothing to accept."
    note_in_use(hub, kind, feed, who=current_user(), why=why)
    description = f"Accepted by {current_user()}: {why}"
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey(["raw", kind]), check_name=_CHECK, passed=True, description=description, blocking=True
        )
    )
    return f"The snapshot of {kind} of {feed.day} is accepted though {'; '.join(lost)}. `recsys run` goes on with it."


def _loss_check(kind: Attributes) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=["raw", kind],
        name=_CHECK,
        blocking=True,
        description=(
            "Compared with the snapshot in use, the newest one lost at most RECSYS_FEED_LOSS of its records and of the values of each "
            "field that features or list rules use. `recsys accept-snapshot` accepts a loss."
        ),
    )
    def lost(hub: dg.ResourceParam[Hub], settings: dg.ResourceParam[Settings]) -> dg.AssetCheckResult:
        checked = check_newest_feed(hub, kind, share=settings.feed_loss)
        feed = checked.feed
        if feed is None:
            return dg.AssetCheckResult(passed=True, description="There is no snapshot yet")
        if checked.lost:
            return dg.AssetCheckResult(passed=False, description=checked.lost)
        return dg.AssetCheckResult(passed=True, metadata={"day": feed.day, "records": feed.records, **feed.having})

    return lost


user_attributes_lost = _loss_check("user_attributes")
book_attributes_lost = _loss_check("book_attributes")
