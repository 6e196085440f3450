"""The variants of the recommender: names, models and parameters, from one YAML file.

Belongs here: reading and checking that file, which models there are. Does not: the models (models/), training
(fitting.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from recsys_platform.common.strict_yaml import read_yaml
from recsys_platform.recommender.errors import ModelError
from recsys_platform.recommender.models.als import AlsParams
from recsys_platform.recommender.models.content_similarity import ContentSimilarityParams
from recsys_platform.recommender.models.ease import EaseParams
from recsys_platform.recommender.models.item_knn import ItemKnnParams
from recsys_platform.recommender.models.lightfm import LightFMParams
from recsys_platform.recommender.models.popularity import PopularityParams
from recsys_platform.recommender.models.sequence import SequenceParams
from recsys_platform.recommender.params import Count, Seed, Share
from recsys_platform.recommender.registry.files import NAME

BASELINE = "popularity"
DEFAULTS = files("recsys_platform").joinpath("config", "variants.yaml")
RESERVED = {"production", "challenger", "aliases", "evaluation", "promotion", "off_policy"}
"""Aliases and other assets of the group of models."""


@dataclass(frozen=True)
class BlendParams:
    """`components`: names of other variants.

    Weights are chosen on the latest `held_out` of all that was liked, by NDCG@k of at most `max_users` readers.
    """

    components: Annotated[tuple[str, ...], Field(min_length=1)]
    held_out: Share = 0.2
    max_users: Count = 3_000
    k: Count = 10
    seed: Seed = 0


Params = (
    PopularityParams
    | LightFMParams
    | AlsParams
    | ItemKnnParams
    | EaseParams
    | SequenceParams
    | ContentSimilarityParams
    | BlendParams
)
PARAMS: Mapping[str, type[Params]] = {
    "popularity": PopularityParams,
    "lightfm": LightFMParams,
    "als": AlsParams,
    "item_knn": ItemKnnParams,
    "ease": EaseParams,
    "sequence": SequenceParams,
    "content": ContentSimilarityParams,
    "blend": BlendParams,
}


@dataclass(frozen=True)
class Variant:
    """A name for a model with parameters."""

    name: str
    model: str
    params: Params

    def recipe(self, variants: "Variants") -> dict[str, Any]:
        """All that the trained model follows from besides data and code, as JSON values; a blend's holds its components'.

        What `variants_of_recipe` names after the blend has its first name here, so that a recipe stays the same however often it is
        stored and read.
        """
        own = {"model": self.model, **asdict(self.params)}
        if isinstance(self.params, BlendParams):
            own["components"] = {
                name.rpartition(".")[2]: variants[name].recipe(variants) for name in self.params.components
            }
        return own


Variants = Mapping[str, Variant]


def load_variants(path: Path | None = None) -> dict[str, Variant]:
    """The variants of a file, or those that come with the platform; ModelError says what is wrong with which.

    The baseline is always among them, and a blend stands after its components.
    """
    where = Path(str(path or DEFAULTS))
    try:
        given = read_yaml(where)
    except (OSError, ValueError) as error:
        raise ModelError(f"The variants cannot be read from {where}: {error}.") from error
    if not isinstance(given, dict) or not given:
        raise ModelError(f"{where} names no variants: write `name: {{model: …, parameter: …}}` lines.")
    found = {
        _checked_name(name, where): variant_of(str(name), {} if parameters is None else parameters)
        for name, parameters in given.items()
    }
    baseline = found.pop(BASELINE, None) or variant_of(BASELINE, {})
    _check_baseline(baseline, where)
    _check_blends({BASELINE: baseline} | found, where)
    return _in_order({BASELINE: baseline} | found)


def _checked_name(name: Any, where: Path) -> str:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ModelError(
            f"{where}: {name!r} cannot name a variant: use lower-case letters, digits and underscores, a letter first."
        )
    if name in RESERVED:
        raise ModelError(
            f"{where}: a variant cannot be called {name}, which means something else: choose another name."
        )
    return name


def variant_of(name: str, parameters: Mapping[str, Any]) -> Variant:
    """One variant from its name and parameters, `model` among them unless it is the name; ModelError if something is unknown."""
    if not isinstance(parameters, Mapping):
        raise ModelError(f"Variant {name} should hold parameters with values, not {parameters!r}.")
    own = dict(parameters)
    model = own.pop("model", name)
    if not isinstance(model, str) or model not in PARAMS:
        raise ModelError(f"Variant {name} is of the unknown model {model!r}: there are {', '.join(PARAMS)}.")
    kind = PARAMS[model]
    _refuse_unknown(name, model, own, kind)
    try:
        params: Params = TypeAdapter(kind).validate_python(own)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        said = first["msg"].lower().replace("a valid tuple", "a list")
        raise ModelError(f"Variant {name}, parameter {where}: {said}, not {first['input']!r}.") from error
    return Variant(name, model, params)


def _refuse_unknown(name: str, model: str, own: Mapping[str, Any], kind: Any) -> None:
    """ModelError for a parameter that the model or a group of its parameters does not have, and for yes or no as a number."""
    known = {each.name: each for each in fields(kind)}
    if unknown := sorted(map(str, own.keys() - known.keys())):
        raise ModelError(f"Variant {name} has the unknown parameter {unknown[0]!r}: {model} has {', '.join(known)}.")
    for parameter, value in own.items():
        if isinstance(value, bool) and not isinstance(known[parameter].default, bool):
            raise ModelError(f"Variant {name}, parameter {parameter}: input should be a number, not {value!r}.")
        group = known[parameter].default_factory
        if isinstance(value, Mapping) and isinstance(group, type):
            _refuse_unknown(name, parameter, value, group)


def variants_of_recipe(name: str, recipe: Mapping[str, Any]) -> dict[str, Variant]:
    """Undo `Variant.recipe`: the variant, and a blend's components, under names that begin with its own."""
    parts = recipe.get("components")
    if not isinstance(parts, Mapping):
        return {name: variant_of(name, recipe)}
    named = {f"{name}.{part}": parameters for part, parameters in parts.items()}
    components = {part: variant_of(part, parameters) for part, parameters in named.items()}
    return components | {name: variant_of(name, {**recipe, "components": tuple(named)})}


def _check_baseline(variant: Variant, where: Any) -> None:
    """ModelError unless the baseline is what all fall back on: lists for newcomers and for everyone are made of it."""
    if variant.model != BASELINE:
        raise ModelError(
            f"{where}: the variant {BASELINE} is the baseline and must be of the model {BASELINE}, not {variant.model}: "
            "give the other model another name."
        )


def _check_blends(variants: Variants, where: Any) -> None:
    for name, variant in variants.items():
        parts = components_of(variant)
        for part in parts:
            if parts.count(part) > 1:
                raise ModelError(f"{where}: the blend {name} has the component {part!r} twice.")
            if part not in variants or components_of(variants[part]):
                raise ModelError(
                    f"{where}: the blend {name} has the component {part!r}, which is no variant that can be blended."
                )


def components_of(variant: Variant) -> Sequence[str]:
    """The names of the variants that a blend is made of; none for any other variant."""
    return variant.params.components if isinstance(variant.params, BlendParams) else ()


def _in_order(variants: Mapping[str, Variant]) -> dict[str, Variant]:
    return dict(sorted(variants.items(), key=lambda item: bool(components_of(item[1]))))
