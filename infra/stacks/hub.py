"""The data hub: buckets, the events' way into them, and who is told of new objects."""

from typing import Any

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_kinesisfirehose as firehose
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.deployment import Deployment
from infra.stacks.base import PlatformStack, accept
from recsys_platform.hub.layout import LANDING, SOURCES, Source
from recsys_platform.sources.firehose.prefixes import landing_prefixes

ROOT = "hub/"
CLASSES_OF_LANDING = ((s3.StorageClass.INFREQUENT_ACCESS, 60), (s3.StorageClass.GLACIER_INSTANT_RETRIEVAL, 365))
"""Cheaper classes, and the age in days at which landing objects move there."""
"""Where the hub begins in its bucket: RECSYS_HUB ends with it."""
BUFFER_SECONDS, BUFFER_MB = 300, 64


class Hub(PlatformStack):
    """Buckets of the hub, models, results and logs; stream and delivery streams; topic and queue of notifications."""

    def __init__(self, scope: Construct, deployment: Deployment, key: kms.IKey) -> None:
        """`key`: encrypts all of it."""
        super().__init__(scope, "hub", deployment)
        self.key = self.imported(key)
        self.access_logs = self._access_log_bucket()
        self.bucket = self._bucket("hub", self._hub_lifecycle())
        self.models = self._bucket("models", [])
        self.site = self._bucket("site", [])
        self.results = self._bucket("results", [_expire("athena/", 30)])
        self.logs = self._bucket("logs", [_expire("compute_logs/", 90), _expire("spark/", 90)])
        self.events = self._stream()
        self.queue, self.dead = self._queues()
        self.topic = self._topic()
        group = self.log_group("firehose", self.key)
        self.deliveries = [self._delivery(source, group) for source in SOURCES]

    def _access_log_bucket(self) -> s3.Bucket:
        """Log deliveries of S3 and load balancers write here; neither can use a key of ours."""
        bucket = s3.Bucket(
            self,
            "AccessLogs",
            bucket_name=self.names.bucket("access-logs"),
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            versioned=True,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            lifecycle_rules=[_expire(None, 400), _clean_up()],
            removal_policy=self.removal,
        )
        # The bucket of the trail is in another stack, where CDK cannot add what S3 needs to write its log here.
        bucket.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("logging.s3.amazonaws.com")],
                actions=["s3:PutObject"],
                resources=[bucket.arn_for_objects("s3/trail/*")],
                conditions={
                    "ArnLike": {"aws:SourceArn": self.names.bucket_arn("trail")},
                    "StringEquals": {"aws:SourceAccount": self.account},
                },
            )
        )
        accept(bucket, {"AwsSolutions-S1": "it holds the access logs: logging itself would never end"})
        return bucket

    def _bucket(self, name: str, rules: list[s3.LifecycleRule]) -> s3.Bucket:
        return s3.Bucket(
            self,
            name,
            bucket_name=self.names.bucket(name),
            encryption=s3.BucketEncryption.KMS,
            encryption_key=self.key,
            bucket_key_enabled=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            versioned=True,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            lifecycle_rules=[*rules, _clean_up()],
            server_access_logs_bucket=self.access_logs,
            server_access_logs_prefix=f"s3/{name}/",
            removal_policy=self.removal,
        )

    def _hub_lifecycle(self) -> list[s3.LifecycleRule]:
        landing = s3.LifecycleRule(
            prefix=f"{ROOT}{LANDING}/",
            transitions=[
                _move(storage, days)
                for storage, days in CLASSES_OF_LANDING
                if days < self.deployment.keep_landing_days  # S3 refuses a move of what is deleted by then
            ],
            expiration=Duration.days(self.deployment.keep_landing_days),
        )
        curated = s3.LifecycleRule(
            prefix=f"{ROOT}curated/", transitions=[_move(s3.StorageClass.INTELLIGENT_TIERING, 30)]
        )
        short = [
            _expire(f"{ROOT}{each}/", days)
            for each, days in {"loading": 1, "unloaded": 7, "delivery_errors": 90}.items()
        ]
        return [landing, curated, *short]

    def _stream(self) -> kinesis.Stream:
        stream = kinesis.Stream(
            self,
            "Events",
            stream_name=self.names.of("events"),
            stream_mode=kinesis.StreamMode.ON_DEMAND,
            encryption=kinesis.StreamEncryption.KMS,
            encryption_key=self.key,
            retention_period=Duration.days(7),
            removal_policy=RemovalPolicy.DESTROY,
        )
        accept(stream, {"AwsSolutions-KDS3": "the platform's own key can be taken away from a process, AWS's cannot"})
        return stream

    def _queues(self) -> tuple[sqs.Queue, sqs.Queue]:
        shared: dict[str, Any] = {
            "encryption": sqs.QueueEncryption.KMS,
            "encryption_master_key": self.key,
            "enforce_ssl": True,
            "retention_period": Duration.days(14),
        }
        dead = sqs.Queue(self, "DeadLetters", queue_name=self.names.of("landing-dead"), **shared)
        # A message of an object that was removed is never settled; a load must end before a message returns.
        queue = sqs.Queue(
            self,
            "Landing",
            queue_name=self.names.of("landing"),
            visibility_timeout=Duration.minutes(5),
            dead_letter_queue=sqs.DeadLetterQueue(queue=dead, max_receive_count=100),
            **shared,
        )
        return queue, dead

    def _topic(self) -> sns.Topic:
        """New landing objects are told to a topic: our queue listens, and Snowflake's pipe may."""
        topic = sns.Topic(
            self, "NewObjects", topic_name=self.names.of("new-objects"), master_key=self.key, enforce_ssl=True
        )
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("s3.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                conditions={
                    "StringEquals": {"aws:SourceAccount": self.account},
                    "ArnEquals": {"aws:SourceArn": self.names.bucket_arn("hub")},
                },
            )
        )
        self._let_snowflake_listen(topic)
        topic.add_subscription(subscriptions.SqsSubscription(self.queue, raw_message_delivery=True))
        self._notify(topic)
        return topic

    def _let_snowflake_listen(self, topic: sns.Topic) -> None:
        if self.deployment.snowflake.iam_user_arn:
            topic.add_to_resource_policy(
                iam.PolicyStatement(
                    principals=[iam.ArnPrincipal(self.deployment.snowflake.iam_user_arn)],
                    actions=["sns:Subscribe"],
                    resources=[topic.topic_arn],
                )
            )

    def _notify(self, topic: sns.Topic) -> None:
        """Tell the topic of landing objects; written into the bucket itself, since CDK would add a Lambda function for it."""
        bucket = self.bucket.node.default_child
        rules = [{"Name": "prefix", "Value": f"{ROOT}{LANDING}/"}]
        bucket.add_property_override(  # type: ignore[union-attr]
            "NotificationConfiguration.TopicConfigurations",
            [{"Event": "s3:ObjectCreated:*", "Topic": topic.topic_arn, "Filter": {"S3Key": {"Rules": rules}}}],
        )
        policy = topic.node.find_child("Policy").node.default_child
        bucket.add_resource_dependency(policy)  # type: ignore[union-attr]  # S3 asks the topic whether it may publish

    def _delivery(self, source: Source, group: logs.ILogGroup) -> firehose.CfnDeliveryStream:
        """A delivery stream into the landing of a source; the API's events come from the stream, those of others are put directly."""
        prefix, errors = landing_prefixes(source)
        role = self.names.role_arn("firehose")
        from_stream = firehose.CfnDeliveryStream.KinesisStreamSourceConfigurationProperty(
            kinesis_stream_arn=self.events.stream_arn, role_arn=role
        )
        direct = firehose.CfnDeliveryStream.DeliveryStreamEncryptionConfigurationInputProperty(
            key_type="CUSTOMER_MANAGED_CMK", key_arn=self.key.key_arn
        )
        given: dict[str, Any] = (
            {"delivery_stream_type": "KinesisStreamAsSource", "kinesis_stream_source_configuration": from_stream}
            if source == "segment"
            else {"delivery_stream_type": "DirectPut", "delivery_stream_encryption_configuration_input": direct}
        )
        log = logs.LogStream(self, f"{source}-log", log_group=group, log_stream_name=source)
        stream = firehose.CfnDeliveryStream(
            self,
            f"{source}-delivery",
            delivery_stream_name=self.names.of(f"landing-{source}"),
            extended_s3_destination_configuration=_destination(self, role, ROOT + prefix, ROOT + errors, group, log),
            **given,
        )
        if source == "segment":
            accept(stream, {"AwsSolutions-KDF1": "its source is a stream that is encrypted with the platform's key"})
        return stream


def _destination(
    hub: Hub, role: str, prefix: str, errors: str, group: logs.ILogGroup, log: logs.LogStream
) -> firehose.CfnDeliveryStream.ExtendedS3DestinationConfigurationProperty:
    of = firehose.CfnDeliveryStream
    delimiter = of.ProcessorProperty(
        type="AppendDelimiterToRecord",
        parameters=[of.ProcessorParameterProperty(parameter_name="Delimiter", parameter_value="\\n")],
    )
    return of.ExtendedS3DestinationConfigurationProperty(
        bucket_arn=hub.bucket.bucket_arn,
        role_arn=role,
        prefix=prefix,
        error_output_prefix=errors,
        compression_format="GZIP",
        buffering_hints=of.BufferingHintsProperty(interval_in_seconds=BUFFER_SECONDS, size_in_m_bs=BUFFER_MB),
        processing_configuration=of.ProcessingConfigurationProperty(enabled=True, processors=[delimiter]),
        encryption_configuration=of.EncryptionConfigurationProperty(
            kms_encryption_config=of.KMSEncryptionConfigProperty(awskms_key_arn=hub.key.key_arn)
        ),
        cloud_watch_logging_options=of.CloudWatchLoggingOptionsProperty(
            enabled=True, log_group_name=group.log_group_name, log_stream_name=log.log_stream_name
        ),
    )


def _expire(prefix: str | None, days: int) -> s3.LifecycleRule:
    return s3.LifecycleRule(prefix=prefix, expiration=Duration.days(days))


def _move(storage_class: s3.StorageClass, days: int) -> s3.Transition:
    return s3.Transition(storage_class=storage_class, transition_after=Duration.days(days))


def _clean_up() -> s3.LifecycleRule:
    """Versions that were replaced, and uploads that never ended, go after a while."""
    return s3.LifecycleRule(
        noncurrent_version_expiration=Duration.days(30), abort_incomplete_multipart_upload_after=Duration.days(7)
    )
