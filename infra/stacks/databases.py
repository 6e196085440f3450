"""A PostgreSQL database, the same for whoever needs one."""

from aws_cdk import Duration
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_rds as rds

from infra.names import DATABASE_PORT
from infra.stacks.base import PlatformStack, accept
from infra.stacks.network import ISOLATED, Network

POSTGRES = rds.PostgresEngineVersion.VER_17_9
NOT_ROTATED = (
    "processes read it when they start, and a password that changed would stop them: it is rotated with a deployment"
)


def postgres(stack: PlatformStack, network: Network, key: kms.IKey, name: str, instance: str) -> rds.DatabaseInstance:
    """An encrypted database that speaks TLS alone; in production it has a copy in another zone and two weeks of backups."""
    engine = rds.DatabaseInstanceEngine.postgres(version=POSTGRES)
    is_production = stack.deployment.is_production
    group = _log_group(stack, key, name)
    database = rds.DatabaseInstance(
        stack,
        f"{name}-database",
        instance_identifier=stack.names.of(name),
        engine=engine,
        instance_type=ec2.InstanceType(instance),
        vpc=network.vpc,
        vpc_subnets=ISOLATED,
        multi_az=is_production,
        database_name=name,
        port=DATABASE_PORT,
        credentials=rds.Credentials.from_generated_secret(
            name, secret_name=stack.names.secret(f"{name}-database"), encryption_key=key
        ),
        parameter_group=rds.ParameterGroup(
            stack, f"{name}-parameters", engine=engine, parameters={"rds.force_ssl": "1"}
        ),
        storage_type=rds.StorageType.GP3,
        allocated_storage=stack.deployment.size.database_gib,
        max_allocated_storage=4 * stack.deployment.size.database_gib,
        storage_encrypted=True,
        storage_encryption_key=key,
        backup_retention=Duration.days(14 if is_production else 1),
        preferred_backup_window="04:00-05:00",
        preferred_maintenance_window="sun:05:30-sun:06:30",
        copy_tags_to_snapshot=True,
        deletion_protection=is_production,
        auto_minor_version_upgrade=True,
        iam_authentication=False,
        publicly_accessible=False,
        cloudwatch_logs_exports=["postgresql"],
        enable_performance_insights=True,
        performance_insight_encryption_key=key,
        removal_policy=stack.removal,
    )
    database.node.add_dependency(group)
    if database.secret:
        accept(database, {"AwsSolutions-SMG4": NOT_ROTATED})
    if not is_production:
        accept(
            database,
            {
                "AwsSolutions-RDS3": "a stage for trying things needs no second zone",
                "AwsSolutions-RDS10": "a stage for trying things is deleted with its stack",
            },
        )
    return database


def _log_group(stack: PlatformStack, key: kms.IKey, name: str) -> logs.LogGroup:
    """The log group that RDS writes to, made first so that it is encrypted and ends."""
    return logs.LogGroup(
        stack,
        f"{name}-database-logs",
        log_group_name=f"/aws/rds/instance/{stack.names.of(name)}/postgresql",
        encryption_key=key,
        retention=logs.RetentionDays.ONE_MONTH,
        removal_policy=stack.removal,
    )
