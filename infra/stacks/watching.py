"""What is watched and who is told: alarms, a dashboard, rules of AWS Config, budgets, anomalies of cost, the trail of calls."""

import json

from aws_cdk import Duration
from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_ce as ce
from aws_cdk import aws_cloudtrail as cloudtrail
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_config as config
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.alarms import Alarm, alarms, metric_dimensions, runbook, unwatched_metrics, whole_of
from infra.deployment import Deployment
from infra.stacks.base import PlatformStack
from infra.stacks.hub import Hub
from recsys_platform.monitoring.metrics import SERVICE

TWO_ZONES = "databases-are-in-two-zones"
"""In production alone: another stage has its databases in one."""
RULES = {
    "buckets-are-not-public": "S3_BUCKET_PUBLIC_READ_PROHIBITED",
    "buckets-are-not-written-by-all": "S3_BUCKET_PUBLIC_WRITE_PROHIBITED",
    "buckets-ask-for-tls": "S3_BUCKET_SSL_REQUESTS_ONLY",
    "databases-are-encrypted": "RDS_STORAGE_ENCRYPTED",
    TWO_ZONES: "RDS_MULTI_AZ_SUPPORT",
    "databases-are-not-public": "RDS_INSTANCE_PUBLIC_ACCESS_CHECK",
    "files-are-encrypted": "EFS_ENCRYPTED_CHECK",
    "keys-are-not-to-be-deleted": "KMS_CMK_NOT_SCHEDULED_FOR_DELETION",
    "no-policy-allows-all": "IAM_POLICY_NO_STATEMENTS_WITH_ADMIN_ACCESS",
    "calls-are-logged": "CLOUD_TRAIL_ENABLED",
    "networks-log-flows": "VPC_FLOW_LOGS_ENABLED",
}
"""Managed rules; a person can change what a template made, and these say so."""
PUBLISHERS = ("cloudwatch", "budgets", "costalerts", "events")
COMPARISONS = {
    "above": cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
    "below": cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
}


class Watching(PlatformStack):
    """Topics, alarms, dashboard, rules, budget, trail."""

    def __init__(self, scope: Construct, deployment: Deployment, hub: Hub, key: kms.IKey) -> None:
        """`hub`: the bucket of access logs is beside that of the trail. `key`: encrypts messages and the trail."""
        super().__init__(scope, "watching", deployment)
        self.own_key = self.imported(key)
        self.alerts = self._topic("alerts")
        self.topic = self._topic("alarms")
        self._let_services_publish()
        self.alarms = {each.name: self._alarm(each) for each in alarms(deployment)}
        self._dashboard()
        self._rules()
        self._budget()
        self._anomalies()
        self._trail(hub)

    def _topic(self, name: str) -> sns.Topic:
        """`alerts` are of the platform itself, `alarms` of AWS; in one topic an alarm on alerts would raise itself."""
        topic = sns.Topic(self, name, topic_name=self.names.of(name), master_key=self.own_key, enforce_ssl=True)
        topic.add_subscription(subscriptions.EmailSubscription(self.deployment.mail))
        return topic

    def _let_services_publish(self) -> None:
        self.topic.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal(f"{each}.amazonaws.com") for each in PUBLISHERS],
                actions=["sns:Publish"],
                resources=[self.topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": self.account}},
            )
        )

    def _alarm(self, alarm: Alarm) -> cloudwatch.Alarm:
        made = cloudwatch.Alarm(
            self,
            alarm.name,
            alarm_name=self.names.of(alarm.name),
            alarm_description=f"{alarm.says} | owner: {alarm.owner} | {runbook(self.deployment, alarm)}",
            metric=self._metric(alarm),
            threshold=alarm.limit,
            comparison_operator=COMPARISONS[alarm.comparison],
            evaluation_periods=alarm.periods,
            treat_missing_data=cloudwatch.TreatMissingData[_upper(alarm.missing)],
        )
        made.add_alarm_action(actions.SnsAction(self.topic))
        made.add_ok_action(actions.SnsAction(self.topic))
        return made

    def _metric(self, alarm: Alarm) -> cloudwatch.IMetric:
        part = self._plain_metric(alarm)
        if alarm.percent_of is None:
            return part
        whole = self._plain_metric(whole_of(alarm))
        return cloudwatch.MathExpression(
            expression="100 * part / whole",
            using_metrics={"part": part, "whole": whole},
            label=alarm.name,
            period=Duration.minutes(alarm.minutes),
        )

    def _plain_metric(self, alarm: Alarm) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace=alarm.namespace,
            metric_name=alarm.metric,
            dimensions_map=metric_dimensions(alarm, self.names),
            statistic=alarm.statistic,
            period=Duration.minutes(alarm.minutes),
        )

    def _dashboard(self) -> None:
        """The state of all alarms on top, then the curve of each with its limit, then the metrics that no alarm watches."""
        board = cloudwatch.Dashboard(self, "Dashboard", dashboard_name=self.names.of("platform"))
        board.add_widgets(cloudwatch.AlarmStatusWidget(alarms=list(self.alarms.values()), width=24, height=4))
        widgets: list[cloudwatch.IWidget] = [
            *(cloudwatch.AlarmWidget(alarm=each, title=name, width=6, height=5) for name, each in self.alarms.items()),
            *(self._curves(*each) for each in unwatched_metrics()),
        ]
        for place in range(0, len(widgets), 4):
            board.add_widgets(*widgets[place : place + 4])

    def _curves(self, namespace: str, metric: str, labels: tuple[str, ...]) -> cloudwatch.GraphWidget:
        """A curve for each combination of labels that has values."""
        schema = ",".join([f'"{namespace}"', SERVICE, *labels])
        found = f"SEARCH('{{{schema}}} MetricName=\"{metric}\" {SERVICE}=\"{self.names.base}\"', 'Maximum', 300)"
        curves = cloudwatch.MathExpression(expression=found, using_metrics={}, label="", period=Duration.minutes(5))
        return cloudwatch.GraphWidget(title=metric, left=[curves], width=6, height=5)

    def _rules(self) -> None:
        """The account needs a recorder of AWS Config, one a region, which is rarely a single platform's to make."""
        for name, identifier in self._rules_of_stage().items():
            config.ManagedRule(self, name, config_rule_name=self.names.of(name), identifier=identifier)
        broken = {
            "messageType": ["ComplianceChangeNotification"],
            "newEvaluationResult": {"complianceType": ["NON_COMPLIANT"]},
        }
        events.Rule(
            self,
            "Broken",
            rule_name=self.names.of("broken-rule"),
            event_pattern=events.EventPattern(
                source=["aws.config"],
                detail={**broken, "configRuleName": [{"prefix": self.names.base}]},
            ),
            targets=[targets.SnsTopic(self.topic)],
        )

    def _rules_of_stage(self) -> dict[str, str]:
        return RULES if self.deployment.is_production else {name: RULES[name] for name in RULES if name != TWO_ZONES}

    def _budget(self) -> None:
        of = budgets.CfnBudget
        told = [
            of.SubscriberProperty(subscription_type="SNS", address=self.topic.topic_arn),
            of.SubscriberProperty(subscription_type="EMAIL", address=self.deployment.mail),
        ]
        limits = (("ACTUAL", 80), ("FORECASTED", 100), ("ACTUAL", 100))
        of(
            self,
            "Budget",
            budget=of.BudgetDataProperty(
                budget_name=self.names.of("monthly"),
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=of.SpendProperty(amount=self.deployment.size.aws_budget, unit="USD"),
                cost_filters={"TagKeyValue": [f"user:recsys:stage${self.deployment.stage}"]},
            ),
            notifications_with_subscribers=[
                of.NotificationWithSubscribersProperty(
                    notification=of.NotificationProperty(
                        notification_type=kind, comparison_operator="GREATER_THAN", threshold=percent
                    ),
                    subscribers=told,
                )
                for kind, percent in limits
            ],
        )

    def _anomalies(self) -> None:
        monitor = ce.CfnAnomalyMonitor(
            self,
            "Costs",
            monitor_name=self.names.of("costs"),
            monitor_type="CUSTOM",
            monitor_specification=json.dumps({"Tags": {"Key": "recsys:stage", "Values": [self.deployment.stage]}}),
        )
        least = str(max(50, self.deployment.size.aws_budget // 50))
        above = {
            "Dimensions": {
                "Key": "ANOMALY_TOTAL_IMPACT_ABSOLUTE",
                "MatchOptions": ["GREATER_THAN_OR_EQUAL"],
                "Values": [least],
            }
        }
        ce.CfnAnomalySubscription(
            self,
            "CostAlerts",
            subscription_name=self.names.of("costs"),
            frequency="IMMEDIATE",
            monitor_arn_list=[monitor.attr_monitor_arn],
            threshold_expression=json.dumps(above),
            subscribers=[ce.CfnAnomalySubscription.SubscriberProperty(type="SNS", address=self.topic.topic_arn)],
        )

    def _trail(self, hub: Hub) -> None:
        """Every call of this region's management, and every read and write of landing objects, which hold persons' data."""
        bucket = s3.Bucket(
            self,
            "TrailBucket",
            bucket_name=self.names.bucket("trail"),
            encryption=s3.BucketEncryption.KMS,
            encryption_key=self.own_key,
            bucket_key_enabled=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            versioned=True,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            server_access_logs_bucket=s3.Bucket.from_bucket_name(self, "AccessLogs", self.names.bucket("access-logs")),
            server_access_logs_prefix="s3/trail/",
            lifecycle_rules=[
                s3.LifecycleRule(expiration=Duration.days(400), noncurrent_version_expiration=Duration.days(30))
            ],
            removal_policy=self.removal,
        )
        trail = cloudtrail.Trail(
            self,
            "Trail",
            trail_name=self.names.of("calls"),
            bucket=bucket,
            encryption_key=self.own_key,
            enable_file_validation=True,
            is_multi_region_trail=True,
            include_global_service_events=True,
            send_to_cloud_watch_logs=True,
            cloud_watch_log_group=self.log_group("calls", self.own_key),
            cloud_watch_logs_retention=logs.RetentionDays.THREE_MONTHS,
        )
        landing = cloudtrail.S3EventSelector(bucket=hub.bucket, object_prefix="hub/engagement_events/")
        trail.add_s3_event_selector([landing], include_management_events=True)


def _upper(missing: str) -> str:
    return {"breaching": "BREACHING", "notBreaching": "NOT_BREACHING"}[missing]
