"""An alert through a topic of SNS, read from a queue that listens to it."""

import json
from collections.abc import Iterator

import boto3
import httpx
import pytest

from recsys_platform.config.settings import load_settings
from recsys_platform.notifications.alerts import FailedRun, run_failure_alert
from recsys_platform.notifications.channels import AlertError, channels_of, notify

TOPIC = "RECSYS_ALERT_TOPIC"


@pytest.fixture
def topic(aws: str) -> Iterator[str]:
    yield boto3.client("sns").create_topic(Name="alerts")["TopicArn"]
    httpx.post(f"{aws}/moto-api/reset")


@pytest.fixture
def queue(topic: str) -> str:
    sqs = boto3.client("sqs")
    url = str(sqs.create_queue(QueueName="listener")["QueueUrl"])
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    boto3.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return url


def test_a_failed_run_is_told_to_the_topic(topic: str, queue: str) -> None:
    settings = load_settings({TOPIC: topic, "RECSYS_UI_URL": "https://dagster.example.com"})
    failed = FailedRun("refresh", "r1", step="raw__engagement_events", error="HubError: token=abc is old.\nMore")
    notify(run_failure_alert(failed, settings), channels_of(settings))
    [message] = boto3.client("sqs").receive_message(QueueUrl=queue)["Messages"]
    heard = json.loads(message["Body"])
    assert heard["Subject"] == "recsys: refresh failed"
    assert heard["Message"] == (
        "refresh failed at raw__engagement_events.\nHubError: token=*** is old.\nRun r1: https://dagster.example.com/runs/r1"
    )


def test_a_topic_that_is_not_there_is_named_in_one_sentence(topic: str) -> None:
    settings = load_settings({TOPIC: f"{topic}-gone"})
    with pytest.raises(AlertError, match=rf"^Cannot publish to {topic}-gone: AWS answered NotFound") as error:
        notify(run_failure_alert(FailedRun("refresh", "r1"), settings), channels_of(settings))
    assert "\n" not in str(error.value)
