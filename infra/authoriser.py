"""Refuses requests whose credentials cannot be valid, before they cost a gateway anything; the gateway itself checks the others.

This file is the whole source of the Lambda function: the standard library alone, at most 4 KB.
"""

import base64
import json
import os
import re
import time

KEY = re.compile(r"rk_[a-z]+_[0-9a-f]{12}_[A-Za-z0-9]{32}", re.ASCII)
DAY = 86_400


def handler(event, context):  # noqa: ANN001, ANN201
    """Allow or deny a request of API Gateway by its header `Authorization`."""
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    scheme, _, token = headers.get("authorization", "").partition(" ")
    may = scheme.lower() == "bearer" and (KEY.fullmatch(token) is not None or _is_current(token))
    # The stage, not the method: the answer is kept for the header, whatever it asks for next.
    stage = "/".join(event["methodArn"].split("/")[:2]) + "/*"
    statement = {"Effect": "Allow" if may else "Deny", "Action": "execute-api:Invoke", "Resource": stage}
    return {"principalId": "caller", "policyDocument": {"Version": "2012-10-17", "Statement": [statement]}}


def _is_current(token):  # noqa: ANN001, ANN202
    """Whether a token is of our issuer and not expired; nothing is said about its signature."""
    try:
        body = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return claims["iss"] == os.environ["ISSUER"] and time.time() - 60 < claims["exp"] < time.time() + DAY
    except (IndexError, KeyError, TypeError, ValueError):
        return False
