"""Model hosts on SageMaker: an endpoint with the variants champion and challenger, which is replaced step by step or not at all.

Without an archive there is no endpoint: `recsys sagemaker pack` writes one, and a deployment with its address makes the rest. Both
variants are always there, because a blue/green update can neither add nor remove one: between two challengers, the challenger has
the champion's model too, without traffic.
"""

from aws_cdk import CfnCondition, CfnParameter, CfnResource, Fn
from aws_cdk import aws_applicationautoscaling as scaling
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from infra.deployment import Deployment
from infra.stacks.base import PlatformStack

CHAMPION, CHALLENGER = "champion", "challenger"
REQUESTS_OF_AN_INSTANCE = 3_000
"""A minute; half of what one bears, so that half of them may fail."""
WATCH_SECONDS = 600
ROLLBACK_ALARMS = ("model-host-errors", "model-host-slow")


class Models(PlatformStack):
    """Models, configuration and endpoint; all of it depends on the addresses of archives."""

    def __init__(self, scope: Construct, deployment: Deployment, key: kms.IKey) -> None:
        """`key`: encrypts the instances' disks."""
        super().__init__(scope, "models", deployment)
        self.own_key = self.imported(key)
        self.archives = {name: self._archive_parameter(name) for name in (CHAMPION, CHALLENGER)}
        self.exists = {name: self._archive_is_given(name) for name in (CHAMPION, CHALLENGER)}
        self.models = {name: self._model(name) for name in (CHAMPION, CHALLENGER)}
        config = self._configuration()
        self.endpoint = self._endpoint(config)
        for name in (CHAMPION, CHALLENGER):
            self._scale(name)

    def _archive_parameter(self, variant: str) -> CfnParameter:
        return CfnParameter(
            self,
            f"{variant.capitalize()}Archive",
            default="",
            description=f"s3:// address of the model.tar.gz of the {variant}",
            allowed_pattern=f"|s3://{self.names.bucket('models')}/sagemaker/.+/model\\.tar\\.gz",
        )

    def _archive_is_given(self, variant: str) -> CfnCondition:
        needed = [self.archives[name] for name in dict.fromkeys((CHAMPION, variant))]
        given = [Fn.condition_not(Fn.condition_equals(each, "")) for each in needed]
        found = given[0] if len(given) == 1 else Fn.condition_and(*given)
        return CfnCondition(self, f"Has{variant.capitalize()}", expression=found)

    def _make_conditional(self, variant: str, *resources: CfnResource) -> None:
        for each in resources:
            each.cfn_options.condition = self.exists[variant]

    def _model(self, variant: str) -> sagemaker.CfnModel:
        deployment, names = self.deployment, self.names
        image = f"{deployment.account}.dkr.ecr.{deployment.region}.amazonaws.com/{names.of('model-host')}:{deployment.image_tag}"
        model = sagemaker.CfnModel(
            self,
            f"{variant}-model",
            execution_role_arn=names.role_arn("model-host"),
            enable_network_isolation=True,  # a host needs nothing but its archive, and tells nobody anything
            primary_container=sagemaker.CfnModel.ContainerDefinitionProperty(
                image=image, model_data_url=self.archives[variant].value_as_string
            ),
        )
        self._make_conditional(variant, model)
        return model

    def _configuration(self) -> sagemaker.CfnEndpointConfig:
        """A challenger begins without traffic; `recsys sagemaker traffic` gives it some."""
        variants = [self._production_variant(CHAMPION, weight=1), self._production_variant(CHALLENGER, weight=0)]
        config = sagemaker.CfnEndpointConfig(
            self, "Configuration", production_variants=variants, kms_key_id=self.own_key.key_arn
        )
        self._make_conditional(CHAMPION, config)
        return config

    def _production_variant(self, name: str, *, weight: float) -> sagemaker.CfnEndpointConfig.ProductionVariantProperty:
        return sagemaker.CfnEndpointConfig.ProductionVariantProperty(
            variant_name=name,
            model_name=self._model_name(name),
            initial_variant_weight=weight,
            instance_type=self.deployment.size.model_instance,
            initial_instance_count=self.deployment.size.model_instances[0],
        )

    def _model_name(self, variant: str) -> str:
        champion, own = (self.models[name].attr_model_name for name in (CHAMPION, variant))
        return own if own == champion else Fn.condition_if(self.exists[variant].logical_id, own, champion).to_string()

    def _endpoint(self, config: sagemaker.CfnEndpointConfig) -> sagemaker.CfnEndpoint:
        """A tenth of a new fleet takes requests first; an alarm in that time brings the old one back."""
        of = sagemaker.CfnEndpoint
        canary = of.TrafficRoutingConfigProperty(
            type="CANARY",
            canary_size=of.CapacitySizeProperty(type="CAPACITY_PERCENT", value=10),
            wait_interval_in_seconds=WATCH_SECONDS,
        )
        endpoint = of(
            self,
            "Endpoint",
            endpoint_name=self.names.endpoint,
            endpoint_config_name=config.attr_endpoint_config_name,
            # A release at the busiest hour begins with as many hosts as scaling has made by then.
            retain_all_variant_properties=True,
            exclude_retained_variant_properties=[of.VariantPropertyProperty(variant_property_type="DesiredWeight")],
            deployment_config=of.DeploymentConfigProperty(
                blue_green_update_policy=of.BlueGreenUpdatePolicyProperty(
                    traffic_routing_configuration=canary,
                    termination_wait_in_seconds=WATCH_SECONDS,
                    maximum_execution_timeout_in_seconds=2 * 3_600,
                ),
                auto_rollback_configuration=of.AutoRollbackConfigProperty(
                    alarms=[of.AlarmProperty(alarm_name=self.names.of(each)) for each in ROLLBACK_ALARMS]
                ),
            ),
        )
        log = self.log_group("endpoint", self.own_key, f"/aws/sagemaker/Endpoints/{self.names.endpoint}")
        endpoint.node.add_dependency(log)
        self._make_conditional(CHAMPION, endpoint)
        return endpoint

    def _scale(self, variant: str) -> None:
        least, most = self.deployment.size.model_instances
        target = scaling.CfnScalableTarget(
            self,
            f"{variant}-instances",
            service_namespace="sagemaker",
            scalable_dimension="sagemaker:variant:DesiredInstanceCount",
            resource_id=f"endpoint/{self.names.endpoint}/variant/{variant}",
            min_capacity=least,
            max_capacity=most,
        )
        target.add_resource_dependency(self.endpoint)
        of = scaling.CfnScalingPolicy
        policy = of(
            self,
            f"{variant}-scaling",
            policy_name=self.names.of(f"{variant}-requests"),
            policy_type="TargetTrackingScaling",
            scaling_target_id=target.ref,
            target_tracking_scaling_policy_configuration=of.TargetTrackingScalingPolicyConfigurationProperty(
                target_value=REQUESTS_OF_AN_INSTANCE,
                predefined_metric_specification=of.PredefinedMetricSpecificationProperty(
                    predefined_metric_type="SageMakerVariantInvocationsPerInstance"
                ),
                scale_in_cooldown=600,
                scale_out_cooldown=60,
            ),
        )
        self._make_conditional(CHAMPION, target, policy)
