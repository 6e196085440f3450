"""What the context of CDK says, and which deployment that is."""

from typing import Any

import pytest
from aws_cdk import App

from infra.app import deployment_of
from infra.deployment import Deployment

OF_STAGES = {
    "prod": {"account": "111111111111", "domain": "recsys.example.org"},
    "dev": {"account": "222222222222", "snowflake": {"account": "org-dev"}},
    "repository": "company/recsys",
    "domain": "recsys-dev.example.org",
    "image_tag": "1.0.0",
}


def chosen(**context: Any) -> Deployment:
    return deployment_of(App(context=context))


def test_what_the_context_does_not_name_has_its_default() -> None:
    assert chosen() == Deployment()
    assert chosen(size="large", keep_landing_days="90", web_origins="https://a,https://b") == Deployment(
        size_name="large", keep_landing_days=90, web_origins=("https://a", "https://b")
    )


@pytest.mark.parametrize(
    ("stage", "account", "domain"),
    [
        ("prod", "111111111111", "recsys.example.org"),
        ("dev", "222222222222", "recsys-dev.example.org"),
    ],
)
def test_a_stage_has_what_is_its_alone_before_what_all_have(stage: str, account: str, domain: str) -> None:
    made = chosen(**OF_STAGES, stage=stage)
    assert (made.account, made.domain, made.repository) == (account, domain, "company/recsys")
    assert made.snowflake.account == ("org-dev" if stage == "dev" else "myorg-myaccount")


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"prod": {"account_id": "1"}}, "The context of prod names account_id, which is none of account,"),
        ({"prod": {"size": "small"}}, "The context of prod names size, which is none of account,"),
        ({"prod": {"stage": "dev"}}, "The context of prod names stage, which is none of account,"),
        ({"stage": "test"}, "stage=test is unknown: use one of"),
        ({"size": "huge"}, "size=huge is unknown: use one of"),
        ({"account": "222222222222"}, "The images of a deployment have no tag: name the one that is pushed,"),
        ({"prod": {"account": "222222222222"}}, "The images of a deployment have no tag: name the one that is pushed,"),
    ],
)
def test_what_cannot_be_deployed_is_refused_with_a_sentence(context: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        chosen(**context)
