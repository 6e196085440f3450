"""`recsys experiments start`, `ramp`, `stop`, `history` and `list` on a world with models."""

from pathlib import Path

import pytest

from recsys_platform.config.settings import load_settings
from recsys_platform.serving.routing_files import routing_of
from tests.support.commands import said_by
from tests.support.serving_world import make_world

FILE = """\
holdout: {{percent: 5}}
trial:
  status: draft  # until ann has looked
  hypothesis: readers click more on the lists of the challenger
  variants: {{control: {{model: production, weight: 10}}, treatment: {{model: {model}, weight: 10}}}}
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    world = make_world(tmp_path)
    path = tmp_path / "config" / "experiments.yaml"
    path.parent.mkdir()
    path.write_text(FILE.format(model=f"'{world.versions['als']}'"), encoding="utf-8")
    return tmp_path


def test_an_experiment_is_started_ramped_and_stopped_by_commands_and_gateways_follow(home: Path) -> None:
    routing = routing_of(load_settings({"RECSYS_HOME": str(home)}))

    def in_trial() -> int:
        routing.refresh()
        return sum(routing.route(f"u{number}", "home").experiment == "trial" for number in range(1_000))

    def done(*words: str) -> str:
        code, said = said_by("experiments", *words, home=home)
        assert code == 0, said
        return said

    assert in_trial() == 0
    assert "trial is started: control 10 %, treatment 10 %" in done("start", "trial", "--reason", "the lists are good")
    few = in_trial()
    assert few > 100
    assert "trial is ramped: control 25 %, treatment 20 %" in done(
        "ramp", "trial", "--percent", "control=25", "--percent", "treatment=20", "--reason", "all is well"
    )
    assert in_trial() > 1.5 * few
    listed = done("list")
    assert "holdout: 5 % of the visitors are in no experiment." in listed
    assert "running" in listed
    assert "holdout is changed: holdout 8 %" in done("holdout", "--percent", "8", "--reason", "a long effect")
    assert "holdout: 8 % of the visitors are in no experiment." in done("list")
    assert "The holdout is gone" in done("holdout", "--percent", "0", "--reason", "it was long enough")
    assert "gateways send its visitors back to production" in done("stop", "trial", "--reason", "it was enough")
    assert in_trial() == 0
    history = done("history")
    assert [history.index(why) for why in ("the lists are good", "all is well", "it was enough")] == sorted(
        history.index(why) for why in ("the lists are good", "all is well", "it was enough")
    )
    assert "control 10 %, treatment 10 %" in history
    assert "holdout 5 %" in done("history", "holdout")
    assert done("history", "other") == "other was never started, ramped or stopped by a command."
    assert "# until ann has looked" in (home / "config" / "experiments.yaml").read_text(encoding="utf-8")


def test_what_cannot_be_done_leaves_file_and_audit_as_they_were(home: Path) -> None:
    path = home / "config" / "experiments.yaml"
    path.write_text(FILE.format(model="challenger"), encoding="utf-8")
    before = path.read_text(encoding="utf-8")
    for words, expected in (
        (
            ("start", "trial", "--reason", "x"),
            "treatment of trial names the model challenger, which is neither an alias",
        ),
        (("stop", "trial", "--reason", "x"), "trial has not started"),
        (("stop", "none", "--reason", "x"), "There is no experiment none: name one of trial."),
    ):
        code, said = said_by("experiments", *words, home=home)
        assert (code, expected in said) == (1, True), said
    assert said_by("experiments", "stop", "trial", home=home)[0] == 2  # without a reason
    assert path.read_text(encoding="utf-8") == before


def test_the_list_tells_the_audience_as_a_condition_of_sql(tmp_path: Path) -> None:
    path = tmp_path / "config" / "experiments.yaml"
    path.parent.mkdir()
    audience = "  audience: {languages: [de], readers: signed_in}\n"
    path.write_text(FILE.format(model="challenger") + audience, encoding="utf-8")
    code, said = said_by("experiments", "list", home=tmp_path)
    assert code == 0
    assert "trial is for readers of `marts.dim_users` where language in ('de') and user_id is not null." in said
