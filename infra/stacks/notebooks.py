"""Notebooks of data scientists: SageMaker Studio inside the network, with a role that reads curated tables and no person's data."""

import base64

from aws_cdk import aws_kms as kms
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from infra.deployment import Deployment
from infra.settings import studio_script
from infra.stacks.base import PlatformStack
from infra.stacks.network import PRIVATE, Network

IDLE_MINUTES = 120


class Notebooks(PlatformStack):
    """A Studio domain; spaces that nobody uses stop by themselves."""

    def __init__(self, scope: Construct, deployment: Deployment, network: Network, key: kms.IKey) -> None:
        """`network`: where notebooks run. `key`: encrypts their disks."""
        super().__init__(scope, "notebooks", deployment)
        setup = sagemaker.CfnStudioLifecycleConfig(
            self,
            "Setup",
            studio_lifecycle_config_name=self.names.of("setup"),
            studio_lifecycle_config_app_type="JupyterLab",
            studio_lifecycle_config_content=base64.b64encode(studio_script(deployment).encode()).decode(),
        )
        of = sagemaker.CfnDomain
        sagemaker.CfnDomain(
            self,
            "Studio",
            domain_name=self.names.of("studio"),
            auth_mode="IAM",
            app_network_access_type="VpcOnly",
            vpc_id=network.vpc.vpc_id,
            subnet_ids=network.vpc.select_subnets(subnet_type=PRIVATE.subnet_type).subnet_ids,
            kms_key_id=key.key_arn,
            default_user_settings=of.UserSettingsProperty(
                execution_role=self.names.role_arn("notebooks"),
                security_groups=[network.groups["notebooks"].security_group_id],
                default_landing_uri="studio::",
                studio_web_portal="ENABLED",
                sharing_settings=of.SharingSettingsProperty(notebook_output_option="Disabled"),
                jupyter_lab_app_settings=of.JupyterLabAppSettingsProperty(
                    lifecycle_config_arns=[setup.attr_studio_lifecycle_config_arn],
                    default_resource_spec=of.ResourceSpecProperty(
                        instance_type="ml.t3.medium", lifecycle_config_arn=setup.attr_studio_lifecycle_config_arn
                    ),
                    app_lifecycle_management=of.AppLifecycleManagementProperty(
                        idle_settings=of.IdleSettingsProperty(
                            lifecycle_management="ENABLED", idle_timeout_in_minutes=IDLE_MINUTES
                        )
                    ),
                ),
            ),
        )
