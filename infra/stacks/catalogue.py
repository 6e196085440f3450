"""Queries on the hub without the warehouse: Glue's catalogue, Athena, and Redshift Serverless with Spectrum."""

from aws_cdk import CfnOutput
from aws_cdk import aws_athena as athena
from aws_cdk import aws_glue as glue
from aws_cdk import aws_kms as kms
from aws_cdk import aws_redshiftserverless as redshift
from constructs import Construct

from infra.deployment import Deployment
from infra.stacks.base import PlatformStack
from infra.stacks.hub import ROOT, Hub
from infra.stacks.network import ISOLATED, Network

GIB = 2**30


class Catalogue(PlatformStack):
    """Databases of Glue, a crawler beside the tables that the platform registers, and two engines that read them."""

    def __init__(self, scope: Construct, deployment: Deployment, hub: Hub, network: Network, key: kms.IKey) -> None:
        """`hub`: what is queried. `network`: where Redshift is. `key`: encrypts results and the warehouse."""
        super().__init__(scope, "catalogue", deployment)
        self.own_key, self.hub, self.network = self.imported(key), hub, network
        self._database(self.names.glue_database, "The hub's tables, registered by the platform")
        self._database(self.names.discovered_database, "What the crawler finds below the hub")
        self._crawler()
        self._workgroup()
        self._redshift()

    def _database(self, name: str, description: str) -> glue.CfnDatabase:
        given = glue.CfnDatabase.DatabaseInputProperty(name=name, description=description)
        return glue.CfnDatabase(self, name, catalog_id=self.account, database_input=given)

    def _crawler(self) -> None:
        """Finds what the platform does not register, on Sundays; it never changes a table of the platform's own."""
        of = glue.CfnSecurityConfiguration
        arn = self.own_key.key_arn
        settings = of(
            self,
            "Encrypted",
            name=self.names.of("crawler"),
            encryption_configuration=of.EncryptionConfigurationProperty(
                cloud_watch_encryption=of.CloudWatchEncryptionProperty(
                    cloud_watch_encryption_mode="SSE-KMS", kms_key_arn=arn
                ),
                job_bookmarks_encryption=of.JobBookmarksEncryptionProperty(
                    job_bookmarks_encryption_mode="CSE-KMS", kms_key_arn=arn
                ),
                s3_encryptions=[of.S3EncryptionProperty(s3_encryption_mode="SSE-KMS", kms_key_arn=arn)],
            ),
        )
        where = f"s3://{self.names.bucket('hub')}/{ROOT}curated/"
        glue.CfnCrawler(
            self,
            "Crawler",
            name=self.names.of("hub"),
            role=self.names.role_arn("crawler"),
            database_name=self.names.discovered_database,
            crawler_security_configuration=settings.ref,
            targets=glue.CfnCrawler.TargetsProperty(s3_targets=[glue.CfnCrawler.S3TargetProperty(path=where)]),
            schedule=glue.CfnCrawler.ScheduleProperty(schedule_expression="cron(0 7 ? * SUN *)"),
            recrawl_policy=glue.CfnCrawler.RecrawlPolicyProperty(recrawl_behavior="CRAWL_NEW_FOLDERS_ONLY"),
            schema_change_policy=glue.CfnCrawler.SchemaChangePolicyProperty(
                update_behavior="LOG", delete_behavior="LOG"
            ),
        )

    def _workgroup(self) -> None:
        of = athena.CfnWorkGroup
        athena.CfnWorkGroup(
            self,
            "Analysts",
            name=self.names.of("analysts"),
            description="Ad hoc queries of the hub, with a limit on what one may read",
            recursive_delete_option=not self.deployment.is_production,
            work_group_configuration=of.WorkGroupConfigurationProperty(
                bytes_scanned_cutoff_per_query=self.deployment.size.scan_gib * GIB,
                enforce_work_group_configuration=True,
                publish_cloud_watch_metrics_enabled=True,
                engine_version=of.EngineVersionProperty(selected_engine_version="Athena engine version 3"),
                result_configuration=of.ResultConfigurationProperty(
                    output_location=f"s3://{self.names.bucket('results')}/athena/",
                    encryption_configuration=of.EncryptionConfigurationProperty(
                        encryption_option="SSE_KMS", kms_key=self.own_key.key_arn
                    ),
                ),
            ),
        )

    def _redshift(self) -> None:
        """The architecture's first warehouse keeps a path: Spectrum reads the catalogue, COPY and UNLOAD move Parquet."""
        base, most = self.deployment.size.redshift_rpu
        role = self.names.role_arn("redshift")
        namespace = redshift.CfnNamespace(
            self,
            "Namespace",
            namespace_name=self.names.of("analytics"),
            db_name="recsys",
            admin_username="administrator",
            manage_admin_password=True,
            admin_password_secret_kms_key_id=self.own_key.key_id,
            kms_key_id=self.own_key.key_arn,
            iam_roles=[role],
            default_iam_role_arn=role,
            log_exports=["userlog", "connectionlog", "useractivitylog"],
        )
        workgroup = redshift.CfnWorkgroup(
            self,
            "Workgroup",
            workgroup_name=self.names.of("analytics"),
            namespace_name=self.names.of("analytics"),
            base_capacity=base,
            max_capacity=most,
            enhanced_vpc_routing=True,
            publicly_accessible=False,
            subnet_ids=self.network.vpc.select_subnets(subnet_type=ISOLATED.subnet_type).subnet_ids,
            security_group_ids=[self.network.groups["analytics"].security_group_id],
            config_parameters=[
                redshift.CfnWorkgroup.ConfigParameterProperty(parameter_key="require_ssl", parameter_value="true")
            ],
        )
        workgroup.add_resource_dependency(namespace)
        for name, statement in spectrum_statements(self.names.glue_database, role, self.names.bucket("hub")).items():
            CfnOutput(self, name, value=statement, description="Run it once in Redshift")


def spectrum_statements(database: str, role: str, bucket: str) -> dict[str, str]:
    """SQL for Redshift: the external schema on Glue, and one table out and in as Parquet; CloudFormation has no type for them."""
    unloaded = f"s3://{bucket}/{ROOT}unloaded/fct_interactions/"
    return {
        "ExternalSchema": f"create external schema if not exists hub from data catalog database '{database}' iam_role '{role}';",
        "Unload": f"unload ('select * from hub.curated_fct_interactions') to '{unloaded}' iam_role '{role}' format parquet;",
        "Copy": f"copy public.fct_interactions from '{unloaded}' iam_role '{role}' format as parquet;",
    }
