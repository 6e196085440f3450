"""Which certificate authorities tests trust: one, since reading all of them takes 30 ms for each client of HTTP."""

import atexit
import os
import tempfile
from pathlib import Path

import certifi

OF_THIS_MACHINE = os.environ.get("SSL_CERT_FILE")
_END = "-----END CERTIFICATE-----\n"


def trust_one_authority() -> None:
    """Let this process and those that it starts read one authority: what tests talk to is on the loopback."""
    number, name = tempfile.mkstemp(prefix="recsys-tests-", suffix=".pem")
    with os.fdopen(number, "w", encoding="utf-8") as file:
        file.write(Path(certifi.where()).read_text(encoding="utf-8").partition(_END)[0] + _END)
    atexit.register(Path(name).unlink, missing_ok=True)
    os.environ["SSL_CERT_FILE"] = name


def environment_of_this_machine() -> dict[str, str]:
    """The variables of a process that reaches registries of packages."""
    own = {name: value for name, value in os.environ.items() if name != "SSL_CERT_FILE"}
    return own | ({"SSL_CERT_FILE": OF_THIS_MACHINE} if OF_THIS_MACHINE else {})
