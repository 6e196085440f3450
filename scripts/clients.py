"""Generate the clients of the recommendation API from its OpenAPI document: `make clients`.

Belongs here: which generators, and the record of what they made (`clients/generated.json`), by which a test sees that a client is
older than the API. Does not: the document (recsys_platform/serving/gateway/openapi.py).
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from recsys_platform.serving.gateway.api import ENDPOINTS
from recsys_platform.serving.gateway.openapi import openapi_document

ROOT = Path(__file__).parents[1]
CLIENTS = ROOT / "clients"
DOCUMENT, RECORD = CLIENTS / "openapi.json", CLIENTS / "generated.json"
PYTHON, TYPESCRIPT = CLIENTS / "python", CLIENTS / "typescript"
PACKAGE, SCHEMA = PYTHON / "recsys_client", TYPESCRIPT / "src" / "schema.ts"
# It needs another version of typer than we do, so it runs in an environment of its own.
GENERATOR = "openapi-python-client==0.29.1"
BIN = Path(sys.executable).parent


def main() -> None:
    """Write the document, both clients and the record of them."""
    document = document_of_clients()
    DOCUMENT.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    generate_python(document)
    generate_typescript()
    RECORD.write_text(json.dumps(hashes(), indent=1) + "\n", encoding="utf-8")


def document_of_clients() -> dict[str, Any]:
    """The OpenAPI document with the version of pyproject.toml: the installed one may be older."""
    document = openapi_document(ENDPOINTS)
    document["info"]["version"] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    return document


def hashes() -> dict[str, str]:
    """SHA-256 of the document and of every generated file, by path below `clients`."""
    files = [DOCUMENT, SCHEMA, *PACKAGE.rglob("*.py")]
    return {str(path.relative_to(CLIENTS)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(files)}


def generate_python(document: dict[str, Any]) -> None:
    """Generate the package of the Python client."""
    shutil.rmtree(PACKAGE, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        source, config = Path(folder) / "openapi.json", Path(folder) / "config.yml"
        source.write_text(json.dumps(_document_for_python(document)), encoding="utf-8")
        config.write_text("literal_enums: true\npost_hooks: []\n", encoding="utf-8")
        command = [
            BIN / "uv",
            "tool",
            "run",
            "--from",
            GENERATOR,
            "openapi-python-client",
            "generate",
            "--meta",
            "none",
        ]
        options = ["--path", source, "--config", config, "--output-path", PACKAGE, "--fail-on-warning"]
        _run(*command, *options, "--custom-template-path", PYTHON / "templates")
    (PACKAGE / "py.typed").touch()
    _run(BIN / "ruff", "check", "--silent", "--fix", "--exit-zero", "--isolated", "--select", "F401,I", PACKAGE)
    _run(BIN / "ruff", "format", "--quiet", "--isolated", "--line-length", "120", PACKAGE)


def generate_typescript() -> None:
    """Generate the types of the TypeScript client."""
    _run(BIN / "npm", "ci", "--silent", "--prefix", TYPESCRIPT)
    write_typescript_schema(SCHEMA)


def write_typescript_schema(target: Path) -> None:
    """Write the types of the document to a file."""
    tool = TYPESCRIPT / "node_modules" / "openapi-typescript" / "bin" / "cli.js"
    # What has a default may be left out of a request.
    _run(BIN / "node", tool, DOCUMENT, "--default-non-nullable", "false", "--output", target)


def _document_for_python(document: dict[str, Any]) -> dict[str, Any]:
    """The document with good answers alone, since others are raised, and descriptions where the generator reads them."""
    found: dict[str, Any] = json.loads(json.dumps(document))
    for operation in (each for operations in found["paths"].values() for each in operations.values()):
        answers = operation["responses"].items()
        operation["responses"] = {status: answer for status, answer in answers if status.startswith("2")}
        for parameter in operation["parameters"]:
            parameter["schema"]["description"] = parameter.get("description", "")
    return found


def _run(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True)


if __name__ == "__main__":
    main()
