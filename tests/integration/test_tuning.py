"""The search for better parameters, on a small world's own data."""

import dagster as dg
import pytest
import yaml

from recsys_platform.config.factories import hub_of, registry_of, variants_of
from recsys_platform.config.settings import load_settings
from recsys_platform.defs.training.tuning import TuningConfig, tuning
from recsys_platform.recommender.training.variants import variant_of

pytestmark = pytest.mark.slow


def test_what_is_found_is_kept_in_mlflow_and_shown_as_yaml(world):
    settings = load_settings({"RECSYS_HOME": str(world)})
    registry = registry_of(settings)
    config = TuningConfig(variants=["ease", "lightfm_content"], trials=12, seconds=60)
    with dg.build_asset_context() as context:
        found = tuning(context, config, hub=hub_of(settings), registry=registry, variants=variants_of(settings))
    lines = found.metadata["for variants.yaml"].value.removeprefix("```yaml\n").removesuffix("```")
    shown = yaml.safe_load(lines)
    assert {variant_of(name, given).model for name, given in shown.items()} == {"ease", "lightfm"}
    # What the file says already is not lost, whether anything better was found in the time or not.
    assert shown["lightfm_content"] | {"model": "lightfm", "book_identity": False} == shown["lightfm_content"]
    assert "| lightfm_content |" in found.metadata["found"].value
