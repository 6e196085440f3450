"""What a space of SageMaker Studio does when it starts, in a home of its own; `pip` would ask a registry and notes its arguments."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from infra.deployment import Deployment
from infra.permissions import roles
from infra.settings import notebook_settings, studio_script
from recsys_platform.config.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
TOOLS = Path(sys.executable).parent


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with two wheels, the newer one of which sorts before the other by its letters."""
    for name in (
        "recsys_platform-0.9.0-py3-none-any.whl",
        "recsys_platform-0.10.0-py3-none-any.whl",
        "other-1-any.whl",
    ):
        (tmp_path / "recsys").mkdir(exist_ok=True)
        (tmp_path / "recsys" / name).touch()
    (tmp_path / "bin").mkdir()
    pip = tmp_path / "bin" / "pip"
    pip.write_text(f'#!/bin/bash\necho "$@" >> "{tmp_path}/pip.log"\n')
    pip.chmod(0o755)
    return tmp_path


def start(home: Path, **variables: str) -> str:
    """Run the script; what it printed."""
    environment = {"HOME": str(home), "PATH": f"{home / 'bin'}:{TOOLS}:/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    script = ROOT / "infra" / "studio_setup.sh"
    done = subprocess.run(
        ["bash", script], env=environment | variables, cwd=home, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_script_has_no_mistake_of_the_shell(tmp_path: Path) -> None:
    whole = tmp_path / "whole.sh"
    whole.write_text(studio_script(Deployment()))
    assert subprocess.run([TOOLS / "shellcheck", whole], capture_output=True, text=True, check=False).stdout == ""
    assert len(whole.read_bytes()) < 16_384, "Studio takes no longer script"


def test_a_space_has_the_newest_wheel_its_settings_and_the_notebooks(home: Path) -> None:
    start(home, SETTINGS="RECSYS_ENV=aws RECSYS_PARAMETERS=/recsys/dev")
    assert (home / "pip.log").read_text().split()[-2:] == [
        f"{home}/recsys/recsys_platform-0.10.0-py3-none-any.whl",
        "jupytext",
    ]
    assert len(list((home / "recsys" / "notebooks").glob("*.ipynb"))) == 4
    wanted = {"RECSYS_HOME": f"{home}/recsys/world", "RECSYS_ENV": "aws", "RECSYS_PARAMETERS": "/recsys/dev"}
    startup = home / ".ipython" / "profile_default" / "startup" / "00-recsys.py"
    asked = (
        f"exec(open({str(startup)!r}).read()); print({{n: v for n, v in os.environ.items() if n.startswith('RECSYS')}})"
    )
    kernel = subprocess.run([sys.executable, "-c", asked], env={}, capture_output=True, text=True, check=True)
    assert ast.literal_eval(kernel.stdout) == wanted
    shell = subprocess.run(
        ["bash", "-c", ". ~/.bashrc; env"], env={"HOME": str(home)}, capture_output=True, text=True, check=True
    )
    assert {f"{name}={value}" for name, value in wanted.items()} <= set(shell.stdout.splitlines())


def test_a_space_that_starts_again_keeps_changed_notebooks_and_follows_changed_settings(home: Path) -> None:
    start(home, SETTINGS="RECSYS_ENV=local")
    changed = home / "recsys" / "notebooks" / "1_look_at_the_data.ipynb"
    changed.write_text("mine")
    start(home, SETTINGS="RECSYS_ENV=aws")
    assert changed.read_text() == "mine"
    assert (home / ".bashrc").read_text().count("recsys") == 1
    assert "RECSYS_ENV=aws" in (home / "recsys" / "settings.sh").read_text()


def test_without_a_wheel_it_says_what_to_do_and_the_space_starts(home: Path) -> None:
    for wheel in (home / "recsys").glob("recsys_platform-*"):
        wheel.unlink()
    assert start(home).startswith("There is no wheel of the platform: put one into ")


def test_what_the_template_sets_are_settings_and_the_role_may_read_what_they_name() -> None:
    given = notebook_settings(Deployment())
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {"RECSYS_PARAMETERS", "RECSYS_SECRET"}
    assert {name for name in given if name.startswith(PREFIX)} <= known
    assert given["RECSYS_SNOWFLAKE_ROLE"].endswith("_SCIENTIST")
    found = roles(Deployment())["notebooks"].statements
    allowed = {(action, resource) for each in found for action in each.actions for resource in each.resources}
    for action, end in (
        ("ssm:GetParametersByPath", f"parameter{given['RECSYS_PARAMETERS']}"),
        ("secretsmanager:GetSecretValue", f"secret:{given['RECSYS_SECRET']}-??????"),
        ("s3:GetObject", "/wheels/*"),
    ):
        assert [resource for name, resource in allowed if name == action and resource.endswith(end)], action
    writes = ("Put", "Delete", "Update", "Create")
    own = {
        "sagemaker:CreateApp",
        "sagemaker:DeleteApp",
        "sagemaker:CreateSpace",
        "sagemaker:UpdateSpace",
        "sagemaker:DeleteSpace",
    }
    hub = [each for each in allowed if each[0].split(":")[1].startswith(writes) and each[0] not in own]
    assert [resource for _, resource in hub if "hub" in resource and "result" not in resource] == []


@pytest.mark.parametrize("action", ["s3:GetObject", "s3:PutObject"])
def test_the_role_reads_no_landing_file(action: str) -> None:
    found = roles(Deployment())["notebooks"].statements
    places = [resource for each in found if action in each.actions for resource in each.resources]
    assert not [place for place in places if "engagement_events" in place or place.endswith("/hub/*")]
