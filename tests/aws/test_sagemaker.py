"""A model version goes to SageMaker once, under names it takes, and gets the share of traffic it is given."""

import gzip
import io
import json
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from recsys_platform.common.errors import HubError
from recsys_platform.hub.s3 import S3Hub
from recsys_platform.recommender.lists.list_rules import parse_list_rules
from recsys_platform.serving.errors import ArtifactError, DeployError
from recsys_platform.serving.model_host.folder import load_host_folder, write_host_folder
from recsys_platform.serving.sagemaker.archive import pack, upload
from recsys_platform.serving.sagemaker.endpoint import (
    STEPS,
    Container,
    Endpoint,
    EndpointStatus,
    SageMaker,
    Variant,
    checked_name,
    model_name,
    name_of,
    next_share,
    shares,
    weights_for,
)
from tests.support.serving_world import make_world

ROLE = "arn:aws:iam::123456789012:role/recsys-endpoint"
SERVING = Container("123456789012.dkr.ecr.eu-west-1.amazonaws.com/recsys:1", ROLE, {"WORKERS": "2"})


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The host folder of a version, written from a published world."""
    made = make_world(tmp_path_factory.mktemp("world"))
    made.publish(parse_list_rules({}))
    return write_host_folder(made.home, made.registry, made.versions["item_knn"])


@pytest.fixture
def folder(published: Path, tmp_path: Path) -> Path:
    """A copy of it for one test."""
    return Path(shutil.copytree(published, tmp_path / published.name))


@pytest.fixture
def sagemaker(bucket: str) -> SageMaker:
    return SageMaker()


@pytest.fixture
def two(sagemaker: SageMaker) -> Endpoint:
    """An endpoint in service: all traffic for the champion, none for the challenger."""
    return put_in_service(sagemaker, Variant("champion", model(sagemaker)), Variant("challenger", model(sagemaker), 0))


def model(sagemaker: SageMaker) -> str:
    return sagemaker.create_model("ease", "20261122T123000-0123456789ab", "s3://b/model.tar.gz", SERVING)


def put_in_service(sagemaker: SageMaker, *variants: Variant) -> Endpoint:
    endpoint = Endpoint("recsys", variants)
    assert sagemaker.deploy(endpoint) == "created"
    sagemaker.wait("recsys")
    return endpoint


# The archive


def test_an_archive_holds_the_files_of_a_model_host_at_its_root(folder: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(pack(folder))) as archive:
        members = archive.getmembers()
        names = [each.name for each in members]
        assert names == sorted(path.name for path in folder.iterdir())
        assert {"manifest.json", "golden.json", "catalog.json", "items.parquet", "list_rules.json"} < set(names)
        assert {(each.mtime, each.uid, each.gid, each.uname, each.mode) for each in members} == {(0, 0, 0, "", 0o644)}


def test_an_archive_unpacked_is_served_without_registry_and_snapshot(folder: Path, tmp_path: Path) -> None:
    unpacked = tmp_path / "opt"
    with tarfile.open(fileobj=io.BytesIO(pack(folder))) as archive:
        archive.extractall(unpacked, filter="data")
    assert load_host_folder(unpacked).artifact.variant == "item_knn"


def test_the_same_folder_gives_the_same_bytes_wherever_and_whenever(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    once, again = pack(folder), pack(other)
    assert once == again
    assert once[4:8] == b"\0" * 4  # gzip's own time
    assert len(gzip.decompress(once)) > len(once)


def test_what_is_in_no_manifest_is_not_packed(folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    for stray in (folder / "zz", folder / ".notes"):
        stray.symlink_to(secret) if stray.name == "zz" else stray.write_text("x")
        with pytest.raises(DeployError, match=f"{stray.name} is a link or is in no manifest"):
            pack(folder)
        stray.unlink()
    listed = folder / "items.parquet"
    listed.rename(tmp_path / "moved.parquet")
    listed.symlink_to(tmp_path / "moved.parquet")
    with pytest.raises(DeployError, match=r"items\.parquet is a link"):
        pack(folder)


def test_a_damaged_folder_is_not_packed(folder: Path) -> None:
    (folder / "list_rules.json").write_bytes(b"x")
    with pytest.raises(ArtifactError, match=r"list_rules\.json was changed"):
        pack(folder)


def test_an_archive_is_uploaded_once(folder: Path, bucket: str) -> None:
    models = S3Hub(bucket, "models")
    address = upload(folder, models)
    assert address == f"s3://{bucket}/models/{folder.name}/model.tar.gz"
    (item,) = models.objects("item_knn-v")
    assert models.get(item.key) == pack(folder)
    (folder / "golden.json").unlink()  # it is not packed again
    assert upload(folder, models) == address


# Names


def test_a_model_is_named_by_its_version_and_by_what_runs_it() -> None:
    version = "20261122T123000-0123456789ab"
    name = model_name("item_knn", version, "s3://b/k", SERVING)
    assert name.startswith(f"item-knn-{version}-")
    assert len(name) == len(f"item-knn-{version}-") + 8
    others = [
        model_name("item_knn", version, "s3://b/other", SERVING),
        model_name("item_knn", version, "s3://b/k", Container(SERVING.image, ROLE)),
        model_name("item_knn", version, "s3://b/k", Container("recsys:2", ROLE, SERVING.environment)),
    ]
    assert len({name, *others}) == 4


@pytest.mark.parametrize("name", ["a", "a-b", "A--9", "x" * 63])
def test_names_that_sagemaker_takes(name: str) -> None:
    assert checked_name(name) == name


@pytest.mark.parametrize("name", ["", "-a", "a-", "a_b", "a.b", "ü", "x" * 64, "a\n"])
def test_names_that_sagemaker_refuses_are_refused_before_it_is_asked(name: str) -> None:
    with pytest.raises(DeployError, match="is not a valid name in SageMaker"):
        checked_name(name)
    with pytest.raises(DeployError):
        Variant(name, "m")


def test_a_name_that_becomes_too_long_is_refused() -> None:
    with pytest.raises(DeployError, match="at most 63"):
        name_of("m" * 40, "20261122T123000-0123456789ab")
    with pytest.raises(DeployError, match="at most 63"):
        Endpoint("e" * 51, (Variant("a", "m"),))


# Models and endpoints


def test_a_model_has_image_archive_role_and_environment_and_is_made_once(sagemaker: SageMaker) -> None:
    name, again = model(sagemaker), model(sagemaker)
    assert name == again
    made = boto3.client("sagemaker").describe_model(ModelName=name)
    told = made["PrimaryContainer"]
    assert (told["Image"], told["ModelDataUrl"]) == (SERVING.image, "s3://b/model.tar.gz")
    assert (told["Environment"], made["ExecutionRoleArn"]) == ({"WORKERS": "2"}, ROLE)
    assert len(boto3.client("sagemaker").list_models()["Models"]) == 1
    tags = boto3.client("sagemaker").list_tags(ResourceArn=made["ModelArn"])["Tags"]
    assert {each["Key"]: each["Value"] for each in tags} == {
        "recsys:model": "ease",
        "recsys:version": "20261122T123000-0123456789ab",
    }


def test_an_endpoint_is_made_once_and_keeps_the_weights_it_has_by_now(sagemaker: SageMaker, two: Endpoint) -> None:
    told = boto3.client("sagemaker").describe_endpoint_config(EndpointConfigName=two.configuration)
    assert [
        (each["VariantName"], each["InitialVariantWeight"], each["InstanceType"], each["InitialInstanceCount"])
        for each in told["ProductionVariants"]
    ] == [("champion", 1, "ml.m5.large", 1), ("challenger", 0, "ml.m5.large", 1)]
    sagemaker.shift("recsys", "challenger", 0.25)
    assert sagemaker.deploy(two) == "unchanged"
    assert sagemaker.weights("recsys") == {"champion": 0.75, "challenger": 0.25}
    assert len(boto3.client("sagemaker").list_endpoint_configs()["EndpointConfigs"]) == 1


def test_an_endpoint_that_is_there_is_updated_to_another_configuration(sagemaker: SageMaker, two: Endpoint) -> None:
    sent: list[dict[str, Any]] = []

    def answer(params: dict[str, Any], **_: Any) -> tuple[Any, dict[str, str]]:  # moto has no such call
        sent.append(json.loads(params["body"]))
        return SimpleNamespace(status_code=200), {"EndpointArn": "arn"}

    sagemaker.client.meta.events.register("before-call.sagemaker.UpdateEndpoint", answer)
    more = Endpoint("recsys", (replace(two.variants[0], instances=2), two.variants[1]))
    assert sagemaker.deploy(more) == "updated"
    assert sent == [{"EndpointName": "recsys", "EndpointConfigName": more.configuration}]
    assert boto3.client("sagemaker").describe_endpoint_config(EndpointConfigName=more.configuration)


def test_other_contents_are_another_configuration() -> None:
    one = Endpoint("recsys", (Variant("a", "m"),))
    assert one.configuration == Endpoint("recsys", (Variant("a", "m"),)).configuration
    others = [
        Endpoint("recsys", (Variant("a", "m", instances=2),)),
        Endpoint("recsys", (Variant("a", "m"),), shadow=Variant("b", "m2")),
        Endpoint("recsys", (Variant("a", "m2"),)),
    ]
    assert len({one.configuration, *(each.configuration for each in others)}) == 4


def test_a_shadow_is_told_beside_the_one_variant_it_copies(sagemaker: SageMaker) -> None:
    shadowed = Endpoint("recsys", (Variant("champion", model(sagemaker)),), Variant("next", model(sagemaker), 0.5))
    assert [each["VariantName"] for each in shadowed.request["ShadowProductionVariants"]] == ["next"]
    assert sagemaker.deploy(shadowed) == "created"  # moto takes the request and forgets the shadow


def test_what_sagemaker_would_refuse_is_refused_before_it_is_asked() -> None:
    a, b, c = (Variant(name, "m") for name in "abc")
    for variants, shadow, said in (
        ((a, a), None, "share a name"),
        ((a,), a, "share a name"),
        ((a, b), c, "shadows one variant"),
        ((Variant("a", "m", 0.0),), None, "No variant of recsys would get traffic"),
        ((), None, "No variant"),
    ):
        with pytest.raises(DeployError, match=said):
            Endpoint("recsys", variants, shadow)
    for weight, instances in ((-1.0, 1), (float("nan"), 1), (1.0, 0)):
        with pytest.raises(DeployError, match="a weight of 0 or more and at least one instance"):
            Variant("a", "m", weight, instances=instances)


def test_what_aws_refuses_is_one_sentence(sagemaker: SageMaker) -> None:
    with pytest.raises(HubError, match=r"Cannot deploy the endpoint recsys of SageMaker: AWS answered .*") as told:
        sagemaker.deploy(Endpoint("recsys", (Variant("a", "no-such-model"),)))
    assert "\n" not in str(told.value)
    with pytest.raises(HubError, match="Cannot describe the endpoint recsys of SageMaker"):
        sagemaker.shift("recsys", "a", 0.5)


# The ramp


@pytest.mark.parametrize(
    ("weights", "share", "wanted"),
    [
        ({"old": 1, "new": 0}, 0.05, {"old": 0.95, "new": 0.05}),
        ({"old": 95, "new": 5}, 0.25, {"old": 0.75, "new": 0.25}),
        ({"old": 0.5, "new": 0.5}, 1.0, {"old": 0, "new": 1}),
        ({"old": 0, "new": 1}, 0.0, {"old": 1, "new": 0}),
        ({"old": 3, "other": 1, "new": 0}, 0.2, {"old": 0.6, "other": 0.2, "new": 0.2}),
        ({"old": 0, "other": 0, "new": 1}, 0.0, {"old": 0.5, "other": 0.5, "new": 0}),
    ],
)
def test_a_variant_gets_its_share_and_the_others_the_rest_as_they_had_it(
    weights: dict[str, float], share: float, wanted: dict[str, float]
) -> None:
    assert weights_for(weights, "new", share) == wanted


@pytest.mark.parametrize(("weights", "share"), [({"old": 1}, 0.5), ({"new": 1}, 0.5), ({"old": 1, "new": 1}, 1.1)])
def test_a_share_that_cannot_be_given_is_refused(weights: dict[str, float], share: float) -> None:
    with pytest.raises(DeployError):
        weights_for(weights, "new", share)


def test_the_ramp_has_four_steps() -> None:
    climbed = [0.0]
    while climbed[-1] < 1:
        climbed.append(next_share(climbed[-1]))
    assert tuple(climbed[1:]) == STEPS == (0.05, 0.25, 0.5, 1.0)
    assert [next_share(share) for share in (0.1, 0.25, 1.0)] == [0.25, 0.5, 1.0]


def test_a_ramp_goes_up_step_by_step_and_all_the_way_down_and_each_step_counts_once(
    sagemaker: SageMaker, two: Endpoint
) -> None:
    sent: list[dict[str, Any]] = []
    event = "provide-client-params.sagemaker.UpdateEndpointWeightsAndCapacities"
    sagemaker.client.meta.events.register(event, lambda params, **_: sent.append(params))
    for share in STEPS:
        assert sagemaker.shift("recsys", "challenger", share)
        assert not sagemaker.shift("recsys", "challenger", share)
        assert shares(sagemaker.weights("recsys")) == pytest.approx({"champion": 1 - share, "challenger": share})
    assert sagemaker.roll_back("recsys", "challenger")
    assert not sagemaker.roll_back("recsys", "challenger")
    assert sagemaker.weights("recsys") == {"champion": 1, "challenger": 0}
    assert len(sent) == len(STEPS) + 1


def test_a_change_of_traffic_waits_for_the_fleet_that_is_coming(
    sagemaker: SageMaker, two: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While an endpoint is updated SageMaker describes the variants of before."""
    now, waited = sagemaker.status("recsys"), []
    old = replace(now, status="Updating", weights={"champion": 1.0})

    def status(self: SageMaker, endpoint: str) -> EndpointStatus:
        return now if waited else old

    monkeypatch.setattr(SageMaker, "status", status)
    monkeypatch.setattr(SageMaker, "wait", lambda self, endpoint: waited.append(endpoint))
    assert sagemaker.shift("recsys", "challenger", 0.25)
    assert waited == ["recsys"]


class Described:
    """SageMaker as it describes an endpoint while it changes, which the server for tests never does."""

    def __init__(self, **answer: Any) -> None:
        self.answer = {"EndpointName": "recsys", "EndpointConfigName": "old", "EndpointStatus": "InService"} | answer

    def describe_endpoint(self, **_: Any) -> dict[str, Any]:
        return self.answer

    def describe_endpoint_config(self, **_: Any) -> dict[str, Any]:
        return {}


def described(**answer: Any) -> SageMaker:
    made = SageMaker()
    made.__dict__["client"] = Described(**answer)
    return made


def test_an_endpoint_that_is_being_made_has_no_variants_yet() -> None:
    assert described(EndpointStatus="Creating").status("recsys").weights == {}


def test_what_is_being_deployed_is_not_deployed_again_and_a_failed_endpoint_is_told() -> None:
    endpoint = Endpoint("recsys", (Variant("champion", "m"),))
    coming = {"EndpointConfigName": endpoint.configuration}
    assert described(EndpointStatus="Updating", PendingDeploymentSummary=coming).deploy(endpoint) == "unchanged"
    with pytest.raises(DeployError, match=r"has failed \(no capacity\).*aws sagemaker delete-endpoint"):
        described(EndpointStatus="Failed", FailureReason="no capacity", **coming).deploy(endpoint)


def test_a_variant_that_is_not_there_gets_no_share(sagemaker: SageMaker, two: Endpoint) -> None:
    with pytest.raises(
        DeployError, match="nobody is not one of several variants of the endpoint: there are champion, challenger"
    ):
        sagemaker.shift("recsys", "nobody", 0.5)
