"""Lineage as OpenLineage's events, and their way to a collector.

Belongs here: all that imports OpenLineage. Does not: what happened in a run (defs/automation/lineage.py).
"""

import datetime as dt
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    error_message_run,
    job_type_job,
    output_statistics_output_dataset,
    parent_run,
    schema_dataset,
)
from openlineage.client.transport.http import ApiKeyTokenProvider, HttpConfig, HttpTransport, TokenProvider
from requests import RequestException, Session

from recsys_platform.common.errors import RecsysError
from recsys_platform.config.settings import Settings
from recsys_platform.monitoring.datasets import DatasetName, dataset_of

PRODUCER = "https://github.com/recsys-platform/recsys_platform"
_TIMEOUT_SECONDS = 5.0
_LATER = {401, 403, 404, 405, 408, 429}
"""Answers to a wrong key, a wrong path or too many events: the same event is taken once that is mended."""
_NO_RETRIES = {"total": 0, "connect": 0, "read": 0}
"""The next tick tries again; five retries of a collector that hangs would take longer than a tick may."""
End = Literal["COMPLETE", "FAIL", "ABORT"]


@dataclass(frozen=True)
class AssetRun:
    """An asset of a run. `inputs`: the assets it is made from. `columns`: name and type. `error`: without secrets."""

    asset: str
    inputs: Sequence[str]
    started: dt.datetime
    ended: dt.datetime
    end: End
    rows: int | None = None
    columns: Sequence[tuple[str, str]] = ()
    error: str = ""


@dataclass(frozen=True)
class JobRun:
    """A run of a job in Dagster; `ended` and `end` are None while it goes on."""

    run_id: str
    job: str
    started: dt.datetime
    ended: dt.datetime | None = None
    end: End | None = None
    assets: Sequence[AssetRun] = ()
    error: str = ""


class LineageError(RecsysError):
    """The collector did not take an event."""


class RefusedEventError(LineageError):
    """The collector will not take this event, however often it is sent."""


class Lineage:
    """Makes events of one deployment and sends them; nothing is sent again by itself."""

    def __init__(self, settings: Settings) -> None:
        """`settings`: the collector's URL and key, and the names of data sets."""
        self._settings = settings
        key = settings.openlineage_key
        auth = ApiKeyTokenProvider({"api_key": key.get_secret_value()}) if key else TokenProvider({})
        session = Session()
        session.max_redirects = 0  # a redirect makes a GET of the POST; as an answer it says that the URL is wrong
        config = HttpConfig(
            url=f"{str(settings.openlineage_url).rstrip('/')}/",
            timeout=_TIMEOUT_SECONDS,
            retry={**_NO_RETRIES},
            auth=auth,
            session=session,
        )
        self._transport = HttpTransport(config)

    def send(self, event: RunEvent) -> None:
        """Send an event. Raises LineageError, without the key, if the collector does not take it within five seconds;
        RefusedEventError if it never will.
        """
        try:
            self._transport.emit(event)
        except RequestException as error:
            code = getattr(error.response, "status_code", None)
            why = f"answered {code}" if code else f"did not answer ({type(error).__name__})"
            kind = RefusedEventError if code and 400 <= code < 500 and code not in _LATER else LineageError
            raise kind(f"The collector in RECSYS_OPENLINEAGE_URL {why}.") from None

    def events(self, run: JobRun) -> Iterator[RunEvent]:
        """The events of a run as far as it is: its start, start and end of each asset, its end. The same for the same run."""
        yield self._event(RunState.START, run.started, run.run_id, run.job)
        for each in run.assets:
            yield from self._events_of_asset(run, each)
        if run.ended and run.end:
            yield self._event(RunState[run.end], run.ended, run.run_id, run.job, _error(run.error))

    def _events_of_asset(self, run: JobRun, each: AssetRun) -> Iterator[RunEvent]:
        run_id = str(uuid.uuid5(uuid.UUID(run.run_id), each.asset))
        parent = parent_run.ParentRunFacet(
            run=parent_run.Run(run.run_id), job=parent_run.Job(self._settings.deployment, run.job)
        )
        name, given = each.asset.replace("/", "."), (self._inputs(each), [self._output(each)])
        yield self._event(RunState.START, each.started, run_id, name, {"parent": parent}, *given)
        facets = {"parent": parent, **_error(each.error)}
        yield self._event(RunState[each.end], each.ended, run_id, name, facets, *given)

    def _event(
        self,
        state: RunState,
        at: dt.datetime,
        run_id: str,
        job: str,
        run_facets: Mapping[str, Any] | None = None,
        inputs: Sequence[InputDataset] = (),
        outputs: Sequence[OutputDataset] = (),
    ) -> RunEvent:
        kind = job_type_job.JobTypeJobFacet("BATCH", "DAGSTER", "ASSET" if outputs else "JOB")
        return RunEvent(
            eventTime=at.isoformat(),
            producer=PRODUCER,
            run=Run(run_id, dict(run_facets or {})),
            job=Job(self._settings.deployment, job, {"jobType": kind}),
            eventType=state,
            inputs=list(inputs),
            outputs=list(outputs),
        )

    def _inputs(self, each: AssetRun) -> list[InputDataset]:
        return [InputDataset(name.namespace, name.name) for name in map(self._name, each.inputs)]

    def _output(self, each: AssetRun) -> OutputDataset:
        name, columns = self._name(each.asset), each.columns
        fields = [schema_dataset.SchemaDatasetFacetFields(name=column, type=kind) for column, kind in columns]
        statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=each.rows)
        return OutputDataset(
            name.namespace,
            name.name,
            facets={"schema": schema_dataset.SchemaDatasetFacet(fields=fields)} if fields else {},
            outputFacets={"outputStatistics": statistics} if each.rows is not None else {},
        )

    def _name(self, asset: str) -> DatasetName:
        return dataset_of(asset, self._settings)


def _error(text: str) -> dict[str, error_message_run.ErrorMessageRunFacet]:
    return {"errorMessage": error_message_run.ErrorMessageRunFacet(text, "Python")} if text else {}
