"""Roles on the server that stands for AWS: what they may not do is refused, and what no other test does in their names."""

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository

from infra.deployment import Deployment
from infra.names import Names
from recsys_platform.common.errors import HubError
from recsys_platform.config.settings import load_settings
from recsys_platform.hub.s3 import PART_BYTES, S3Hub
from recsys_platform.recommender.registry.versions import PRODUCTION
from recsys_platform.serving.gateway.keys import KeyStore
from recsys_platform.serving.routing_files import CANARY_STATE, routing_of
from recsys_platform.serving.routing_parameters import ParameterStore
from recsys_platform.serving.sagemaker.runtime import SageMakerHost
from tests.support.aws_calls import REFUSED_ON_PURPOSE
from tests.support.aws_roles import acting_as
from tests.support.commands import recsys

NAMES = Names(Deployment())


def test_a_gateway_cannot_read_the_hub(bucket: str) -> None:
    REFUSED_ON_PURPOSE.add(f"gateway: s3:GetObject on arn:aws:s3:::{bucket}/world/a")
    with acting_as("gateway"), pytest.raises(HubError, match="the process gateway may not do s3:GetObject on arn:"):
        S3Hub(bucket, "world").get("a")


@pytest.mark.parametrize(("process", "secret"), [("gateway", "gateway"), ("code-server", "platform")])
def test_a_process_reads_its_settings_and_its_own_secret(process: str, secret: str, bucket: str) -> None:
    kept = {"RECSYS_PARAMETERS": NAMES.parameters, "RECSYS_SECRET": NAMES.secret(secret)}
    boto3.client("ssm").put_parameter(Name=f"{NAMES.parameters}/list_length", Value="7", Type="String")
    salt = json.dumps({"pii_salt": "a salt of sixteen characters and more"})
    boto3.client("secretsmanager").create_secret(Name=kept["RECSYS_SECRET"], SecretString=salt)
    with acting_as(process):
        assert load_settings(kept).list_length == 7


@pytest.mark.parametrize("process", ["code-server", "run"])
def test_who_steps_a_canary_or_cleans_up_reads_all_of_routing(process: str, bucket: str, tmp_path: Path) -> None:
    settings = load_settings({"RECSYS_HOME": str(tmp_path), "RECSYS_ROUTING_PARAMETERS": NAMES.routing})
    with acting_as(process):
        assert ParameterStore(NAMES.routing).put_text(CANARY_STATE, "{}") == 1
        routing_of(settings, ParameterStore(NAMES.routing)).refresh()


def test_the_text_of_a_key_reaches_a_secret_and_no_log(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A secret that is not there is made, one that is there gets the new text."""
    monkeypatch.setenv("RECSYS_HOME", str(tmp_path))
    store, name = KeyStore(tmp_path / "serving" / "keys", "local"), NAMES.secret("api-keys/ios-app")
    assert recsys("keys", "create", "ios-app", "--to-secret", name, patch=monkeypatch) == 0
    first = boto3.client("secretsmanager").get_secret_value(SecretId=name)["SecretString"]
    [key] = store.keys().values()
    assert recsys("keys", "rotate", key.id, "--to-secret", name, patch=monkeypatch) == 0
    second = boto3.client("secretsmanager").get_secret_value(SecretId=name)["SecretString"]
    assert [store.check(text).id for text in (first, second)] == [key.id, key.id]
    printed = capsys.readouterr().out
    assert f"Its text is in the secret {name}." in printed
    assert not any(text.rpartition("_")[2] in printed for text in (first, second))


def test_a_key_whose_text_cannot_be_handed_over_is_neither_made_nor_changed(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECSYS_HOME", str(tmp_path))
    elsewhere = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:elsewhere-AbCdEf"
    REFUSED_ON_PURPOSE.add(f"run: secretsmanager:PutSecretValue on {elsewhere}")
    store = KeyStore(tmp_path / "serving" / "keys", "local")
    key, text = store.create("ios-app")
    for command in (("create", "android-app"), ("rotate", key.id), ("rotate", key.id)):
        assert recsys("keys", *command, "--to-secret", "elsewhere", patch=monkeypatch) == 1
    assert store.keys() == {key.id: key}
    assert store.check(text) == key


def test_the_code_server_reads_counts_of_gateways(s3_hub: S3Hub) -> None:
    s3_hub.put("serving/counts/a.json", b"{}")
    with acting_as("code-server"):
        assert S3Hub(s3_hub.bucket, s3_hub.prefix).get("serving/counts/a.json") == b"{}"


def test_a_gateway_asks_the_endpoint(bucket: str) -> None:
    host = SageMakerHost(NAMES.endpoint, seconds=30)  # the server of a busy machine takes long
    assert host.invoke(PRODUCTION, b"{}", 30)  # it runs no model: its answer is made up


def test_an_upload_that_fails_leaves_no_parts(s3_hub: S3Hub) -> None:
    def fail(model: Any, params: dict[str, Any], **_: Any) -> None:
        if params["query_string"]["partNumber"] == 2:
            raise ConnectionError("the network is gone")

    s3_hub._client.meta.events.register("before-call.s3.UploadPart", fail)
    with pytest.raises(ConnectionError):
        s3_hub.put("large", bytes(2 * PART_BYTES))
    assert "Uploads" not in boto3.client("s3").list_multipart_uploads(Bucket=s3_hub.bucket)


def test_mlflow_keeps_artifacts_in_its_part_of_the_bucket_of_models(bucket: str, tmp_path: Path) -> None:
    models = NAMES.bucket("models")
    boto3.client("s3").create_bucket(Bucket=models, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    (tmp_path / "model.json").write_text("{}")
    with acting_as("mlflow"):
        artifacts = S3ArtifactRepository(f"s3://{models}/mlflow/1")
        artifacts.log_artifact(str(tmp_path / "model.json"))
        assert [each.path for each in artifacts.list_artifacts()] == ["model.json"]
        assert Path(artifacts.download_artifacts("model.json")).read_text() == "{}"
        artifacts.delete_artifacts("model.json")
        assert artifacts.list_artifacts() == []
