"""Who may do what: the key, a role for each process, and the people's sign-in."""

import json

from aws_cdk import Duration
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from infra.deployment import Deployment
from infra.permissions import Role, roles
from infra.stacks.base import PlatformStack, accept, accept_wildcards, statement_of

SERVICES = ("logs", "sns", "sqs", "s3", "cloudwatch", "events", "cloudtrail", "budgets", "costalerts", "delivery.logs")
"""Services that encrypt with the key on behalf of this account."""
WITHOUT_ACCOUNT = ("events",)
"""Of these, those that do not tell the key for which account they act: EventBridge, when it publishes to an encrypted topic."""
SAY_NOT_FOR_WHOM = ("lambda.amazonaws.com", "ecs.amazonaws.com")
ALSO_ACTS_AS = {"redshift.amazonaws.com": "redshift-serverless.amazonaws.com"}
"""Services that assume a role by a second name."""
PLACEHOLDER = "put the key in PEM form here"


class Identity(PlatformStack):
    """Key, roles, user pool, secrets."""

    def __init__(self, scope: Construct, deployment: Deployment) -> None:
        """See the class."""
        super().__init__(scope, "identity", deployment)
        self.key = self._key()
        self.roles = {name: self._role(name, role) for name, role in roles(deployment).items()}
        self.pool = self._people()
        self.readers = self._readers()
        self.pool_domain = self.pool.add_domain(
            "Domain",
            cognito_domain=cognito.CognitoDomainOptions(domain_prefix=f"{self.names.base}-{deployment.account}"),
        )
        self.readers.add_domain(
            "ReadersDomain",
            cognito_domain=cognito.CognitoDomainOptions(
                domain_prefix=f"{self.names.base}-readers-{deployment.account}"
            ),
        )
        self.ui_client = self._ui_client()
        self.app_client = self._app_client()
        self.platform_secret = self._platform_secret()

    def _key(self) -> kms.Key:
        key = kms.Key(
            self,
            "DataKey",
            alias=f"alias/{self.names.of('data')}",
            description="Encrypts what the platform stores: buckets, queues, streams, databases, logs, secrets",
            enable_key_rotation=True,
            rotation_period=Duration.days(365),
            removal_policy=self.removal,
        )
        for service in SERVICES:
            host = f"logs.{self.region}" if service == "logs" else service
            key.add_to_resource_policy(
                iam.PolicyStatement(
                    principals=[iam.ServicePrincipal(f"{host}.amazonaws.com")],
                    actions=["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:DescribeKey"],
                    resources=["*"],
                    conditions=self._for_this_account(service),
                )
            )
        return key

    def _for_this_account(self, service: str) -> dict[str, dict[str, str]] | None:
        """The condition by which a service may use the key for this account alone; None if it does not tell the account."""
        if service in WITHOUT_ACCOUNT:
            return None
        if service == "logs":
            return {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": self.names.arn("logs", "*")}}
        return {"StringEquals": {"aws:SourceAccount": self.account}}

    def _role(self, name: str, role: Role) -> iam.Role:
        made = iam.Role(self, f"{name}-role", role_name=self.names.of(name), assumed_by=self._principal(role.principal))
        policy = iam.Policy(self, f"{name}-policy", policy_name=self.names.of(name), roles=[made])
        for each in role.statements:
            policy.add_statements(statement_of(each.document, self.key.key_arn))
        accept_wildcards(policy, role)
        return made

    def _principal(self, service: str) -> iam.IPrincipal:
        """The service, for this account's resources alone where it says for whom it acts: it must not be talked into another's."""
        if service in ALSO_ACTS_AS:
            return iam.CompositePrincipal(iam.ServicePrincipal(service), iam.ServicePrincipal(ALSO_ACTS_AS[service]))
        if service in SAY_NOT_FOR_WHOM:
            return iam.ServicePrincipal(service)
        return iam.ServicePrincipal(service, conditions={"StringEquals": {"aws:SourceAccount": self.account}})

    def _people(self) -> cognito.UserPool:
        """People of the company, with a second factor: made by an administrator or known to the company's own sign-in."""
        pool = cognito.UserPool(
            self,
            "People",
            user_pool_name=self.names.of("people"),
            self_sign_up_enabled=False,
            sign_in_aliases=cognito.SignInAliases(email=True),
            mfa=cognito.Mfa.REQUIRED,
            mfa_second_factor=cognito.MfaSecondFactor(sms=False, otp=True),
            password_policy=cognito.PasswordPolicy(
                min_length=14, require_digits=True, require_lowercase=True, require_uppercase=True, require_symbols=True
            ),
            feature_plan=cognito.FeaturePlan.PLUS,
            standard_threat_protection_mode=cognito.StandardThreatProtectionMode.FULL_FUNCTION,
            deletion_protection=self.deployment.is_production,
            removal_policy=self.removal,
        )
        if self.deployment.saml_metadata:
            email = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress"
            company = cognito.UserPoolIdentityProviderSaml(
                self,
                "Company",
                name="company",
                user_pool=pool,
                metadata=cognito.UserPoolIdentityProviderSamlMetadata.url(self.deployment.saml_metadata),
                attribute_mapping=cognito.AttributeMapping(email=cognito.ProviderAttribute.other(email)),
            )
            pool.register_identity_provider(company)
        return pool

    def _readers(self) -> cognito.UserPool:
        """Readers of apps: everybody in it is a reader (`oidc_default_role`), and nobody more."""
        pool = cognito.UserPool(
            self,
            "Readers",
            user_pool_name=self.names.of("readers"),
            self_sign_up_enabled=True,
            sign_in_aliases=cognito.SignInAliases(email=True),
            auto_verify=cognito.AutoVerifiedAttrs(email=True),
            mfa=cognito.Mfa.OPTIONAL,
            mfa_second_factor=cognito.MfaSecondFactor(sms=False, otp=True),
            password_policy=cognito.PasswordPolicy(
                min_length=12, require_digits=True, require_lowercase=True, require_uppercase=True, require_symbols=True
            ),
            feature_plan=cognito.FeaturePlan.PLUS,
            standard_threat_protection_mode=cognito.StandardThreatProtectionMode.FULL_FUNCTION,
            deletion_protection=self.deployment.is_production,
            removal_policy=self.removal,
        )
        accept(
            pool, {"AwsSolutions-COG2": "readers may add a second factor; to ask for one would keep them from reading"}
        )
        return pool

    def _ui_client(self) -> cognito.UserPoolClient:
        """What signs people in to Dagster's UI: the load balancer."""
        return self.pool.add_client(
            "Dagster",
            generate_secret=True,
            prevent_user_existence_errors=True,
            access_token_validity=Duration.hours(1),
            o_auth=cognito.OAuthSettings(
                flows=cognito.OAuthFlows(authorization_code_grant=True),
                scopes=[cognito.OAuthScope.OPENID],
                callback_urls=[
                    f"https://{self.names.host(each)}/oauth2/idpresponse" for each in ("dagster", "reports")
                ],
            ),
        )

    def _app_client(self) -> cognito.UserPoolClient:
        """What readers' apps sign in with; their ID tokens, which name the app in `aud`, go to the API."""
        return self.readers.add_client(
            "Apps",
            prevent_user_existence_errors=True,
            access_token_validity=Duration.hours(1),
            o_auth=cognito.OAuthSettings(
                flows=cognito.OAuthFlows(authorization_code_grant=True),
                scopes=[cognito.OAuthScope.OPENID],
                callback_urls=[f"https://{self.deployment.domain}/signed-in"],
            ),
        )

    @property
    def issuer(self) -> str:
        """The issuer of readers' tokens."""
        return f"https://cognito-idp.{self.region}.amazonaws.com/{self.readers.user_pool_id}"

    def _platform_secret(self) -> secretsmanager.Secret:
        """The salt is made here, once; the key of Snowflake's user is put in by a person."""
        secret = secretsmanager.Secret(
            self,
            "Platform",
            secret_name=self.names.secret("platform"),
            description="Settings of the Dagster processes that are secret. The salt must never change: back it up.",
            encryption_key=self.key,
            removal_policy=self.removal,
            generate_secret_string=secretsmanager.SecretStringGenerator(
                secret_string_template=json.dumps({"snowflake_private_key": PLACEHOLDER}),
                generate_string_key="pii_salt",
                password_length=64,
                exclude_punctuation=True,
            ),
        )
        accept(
            secret,
            {
                "AwsSolutions-SMG4": "a salt that changes breaks every hash; Snowflake's key is rotated by hand, as deployment.md says"
            },
        )
        return secret
