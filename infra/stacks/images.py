"""Where images lie, one repository each: a tag never changes, and what is pushed is scanned."""

from aws_cdk import Duration
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.deployment import Deployment
from infra.processes import IMAGES
from infra.stacks.base import PlatformStack


class Images(PlatformStack):
    """The repositories; they are deployed and filled before what runs their images."""

    def __init__(self, scope: Construct, deployment: Deployment, key: kms.IKey) -> None:
        """`key`: encrypts the layers."""
        super().__init__(scope, "images", deployment)
        own_key = self.imported(key)
        for name in IMAGES:
            ecr.Repository(
                self,
                name,
                repository_name=self.names.of(name),
                image_scan_on_push=True,
                image_tag_mutability=ecr.TagMutability.IMMUTABLE,
                encryption=ecr.RepositoryEncryption.KMS,
                encryption_key=own_key,
                lifecycle_rules=[
                    ecr.LifecycleRule(tag_status=ecr.TagStatus.UNTAGGED, max_image_age=Duration.days(14)),
                    ecr.LifecycleRule(max_image_count=50),
                ],
                removal_policy=self.removal,
            )
