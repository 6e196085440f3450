"""Computing that is there only while it is used: Spark on EMR Serverless, for lists of more readers than one machine should rank."""

from aws_cdk import aws_emrserverless as emr
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.deployment import Deployment
from infra.stacks.base import PlatformStack
from infra.stacks.network import PRIVATE, Network

RELEASE = "emr-7.9.0"
GB_OF_A_CORE = 8


class Elastic(PlatformStack):
    """An application of EMR Serverless that starts with a job and stops after it."""

    def __init__(self, scope: Construct, deployment: Deployment, network: Network, key: kms.IKey) -> None:
        """`network`: where workers are. `key`: encrypts their disks."""
        super().__init__(scope, "elastic", deployment)
        of, cores = emr.CfnApplication, deployment.size.spark_cores
        emr.CfnApplication(
            self,
            "Spark",
            name=self.names.of("spark"),
            type="SPARK",
            release_label=RELEASE,
            architecture="ARM64",
            auto_start_configuration=of.AutoStartConfigurationProperty(enabled=True),
            auto_stop_configuration=of.AutoStopConfigurationProperty(enabled=True, idle_timeout_minutes=10),
            maximum_capacity=of.MaximumAllowedResourcesProperty(
                cpu=f"{cores} vCPU", memory=f"{GB_OF_A_CORE * cores} GB", disk=f"{20 * cores} GB"
            ),
            network_configuration=of.NetworkConfigurationProperty(
                subnet_ids=network.vpc.select_subnets(subnet_type=PRIVATE.subnet_type).subnet_ids,
                security_group_ids=[network.groups["spark"].security_group_id],
            ),
            monitoring_configuration=of.MonitoringConfigurationProperty(
                s3_monitoring_configuration=of.S3MonitoringConfigurationProperty(
                    log_uri=f"s3://{self.names.bucket('logs')}/spark/", encryption_key_arn=key.key_arn
                )
            ),
        )
