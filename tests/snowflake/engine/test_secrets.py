"""Planted secrets: a world is run in the environment `aws`, also into trouble, and then everything that it left is searched."""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from snowflake.connector import connect

from recsys_platform.defs.transform.project import ROOT as DBT_PROJECT
from tests.support.servers import free_port, running
from tests.support.small_variants import write_small_variants
from tests.support.snowflake.searching import Forms, findings, forms_of_key, forms_of_text, in_bucket, in_folder

ROOT = DBT_PROJECT.parent
BUCKET, DATABASE = "planted-hub", "PLANTED"
WORLD = ("--readers", "30", "--books", "20", "--days", "1", "--seed", "5")
RECSYS = (sys.executable, "-c", "from recsys_platform.cli.app import main; main()")
DAGSTER = (str(Path(sys.executable).with_name("dagster")), "asset", "materialize", "-m", "recsys_platform.definitions")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@dataclass(frozen=True)
class Planted:
    """Secrets that occur nowhere else in the world."""

    salt: str = field(default_factory=lambda: f"salt-{secrets.token_hex(16)}")
    phrase: str = field(default_factory=lambda: f"phrase-{secrets.token_hex(8)}")
    wrong_phrase: str = field(default_factory=lambda: f"wrong-{secrets.token_hex(8)}")
    webhook: str = field(default_factory=lambda: f"hook-{secrets.token_hex(12)}")
    key: str = ""

    def __post_init__(self) -> None:
        made = generate_private_key(65537, 2048)
        lock = BestAvailableEncryption(self.phrase.encode())
        object.__setattr__(self, "key", made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock).decode())

    @property
    def forms(self) -> Forms:
        texts = {"salt": self.salt, "phrase": self.phrase, "wrong phrase": self.wrong_phrase, "webhook": self.webhook}
        key = {"key": forms_of_key(self.key, self.phrase)}
        return key | {name: forms_of_text(text) for name, text in texts.items()}


@dataclass
class Scene:
    """A folder with all that was left, the address of Snowflake, and what each command said and how it ended."""

    folder: Path
    connection: dict[str, Any]
    planted: Planted
    ends: dict[str, tuple[int, str]] = field(default_factory=dict)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with connect(**self.connection) as session, session.cursor() as cursor:
            return list(cursor.execute(sql).fetchall())

    def run(self, what: str, *command: str, **more: str) -> None:
        """A command in the environment of the world; all that it says goes to a file, too."""
        given = {name: value for name, value in os.environ.items() if not name.startswith("RECSYS_")}
        done = subprocess.run(
            command, env=given | self._variables() | more, cwd=ROOT, capture_output=True, text=True, timeout=600
        )
        self.ends[what] = (done.returncode, done.stdout + done.stderr)
        (self.folder / f"{what}.out").write_text(done.stdout + done.stderr)

    def _variables(self) -> dict[str, str]:
        home = self.folder / "world"
        named = {
            "ENV": "aws",
            "HOME": str(home),
            "HUB": f"s3://{BUCKET}/world",
            "PII_SALT": self.planted.salt,
            "MLFLOW_URI": f"sqlite:///{self.folder}/mlflow.db",
            "ALERT_WEBHOOK": f"https://hooks.example.com/services/{self.planted.webhook}",
            "SNOWFLAKE_ACCOUNT": "fakesnow",
            "SNOWFLAKE_USER": "tester",
            "SNOWFLAKE_PRIVATE_KEY": self.planted.key,
            "SNOWFLAKE_PASSPHRASE": self.planted.phrase,
            "SNOWFLAKE_DATABASE": DATABASE,
            "SNOWFLAKE_ADDRESS": f"http://127.0.0.1:{self.connection['port']}",
        }
        others = {name: str(self.folder / name.lower()) for name in ("HOME", "TMPDIR")}
        here = {"DAGSTER_HOME": str(home / "dagster"), "PYTHONPATH": str(ROOT)}
        return {f"RECSYS_{name}": value for name, value in named.items()} | others | here


@pytest.fixture(scope="module")
def scene(aws: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A world that was run well once, and then into every trouble that shows what it was doing."""
    folder, port = tmp_path_factory.mktemp("planted"), free_port()
    for name in ("home", "tmpdir"):
        (folder / name).mkdir()
    write_small_variants(folder / "world")
    boto3.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    command = [sys.executable, "-m", "tests.support.snowflake.server", "--port", str(port), "--s3", aws]
    with running([*command, "--history", str(folder / "history.sql")], f"http://127.0.0.1:{port}/", folder=ROOT):
        there = {"account": "fakesnow", "user": "tester", "password": "x", "database": DATABASE}
        made = Scene(folder, {**there, "host": "127.0.0.1", "port": port, "protocol": "http"}, Planted())
        play(made)
        yield made


def play(scene: Scene) -> None:
    """All goes well; a model fails; the salt itself is refused; the key stays locked, outside of Dagster and inside."""
    scene.ask("create schema raw")
    scene.ask(f"create stage raw.hub url='s3://{BUCKET}/world/'")
    scene.run("well", *RECSYS, "demo", *WORLD)
    scene.ask("alter table raw.engagement_events rename column record to gone")
    scene.run("failing model", *RECSYS, "run", "--all", DBT_DEBUG="true")
    scene.ask("create table raw.kept_salt as select * from raw.pii_salt")
    scene.ask("create or replace table raw.pii_salt (salt int not null)")
    scene.run("refused salt", *RECSYS, "run", "--all")
    scene.ask("create or replace table raw.pii_salt as select * from raw.kept_salt")
    scene.ask("drop table raw.kept_salt")
    wrong = {"RECSYS_SNOWFLAKE_PASSPHRASE": scene.planted.wrong_phrase}
    scene.run("locked key", *RECSYS, "run", "--all", **wrong)
    scene.run("locked key in Dagster", *DAGSTER, "--select", "key:staging/*", **wrong)


def test_each_run_ended_as_it_was_meant_to(scene: Scene) -> None:
    assert {what: code for what, (code, _) in scene.ends.items()} == {
        "well": 0,
        "failing model": 1,
        "refused salt": 1,
        "locked key": 1,
        "locked key in Dagster": 1,
    }, scene.ends
    assert "failed: dbt_models: " in scene.ends["failing model"][1]
    assert "Snowflake refuses a statement about a secret, error 100035" in scene.ends["refused salt"][1]
    for what in ("locked key", "locked key in Dagster"):
        assert "RECSYS_SNOWFLAKE_PRIVATE_KEY is no private key in PEM form" in scene.ends[what][1]


def test_no_secret_is_in_any_file_or_output(scene: Scene) -> None:
    """The world with Dagster's storage and dbt's artifacts, temporary files, the user's home, outputs, Snowflake's history."""
    assert findings(scene.planted.forms, in_folder(scene.folder)) == []
    assert (scene.folder / "history.sql").stat().st_size > 10_000
    for name in ("world/run.log", "world/dbt/manifest.json", "world/dbt/run_results.json"):
        assert (scene.folder / name).exists()


def test_no_secret_is_in_the_dbt_project(scene: Scene) -> None:
    assert findings(scene.planted.forms, in_folder(DBT_PROJECT)) == []


def test_no_secret_is_in_the_hub(scene: Scene) -> None:
    places = list(in_bucket(BUCKET))
    assert len(places) > 10
    assert findings(scene.planted.forms, iter(places)) == []


def test_the_salt_is_in_one_table_and_every_other_secret_in_none(scene: Scene) -> None:
    tables = scene.ask("select table_schema || '.' || table_name from information_schema.tables")
    rows = ((name.lower(), repr(scene.ask(f"select * from {name}")).encode()) for (name,) in tables)
    assert findings(scene.planted.forms, rows) == ["raw.pii_salt: salt"]
