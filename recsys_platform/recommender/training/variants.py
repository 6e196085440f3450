"""The variants of the recommender: names, models and parameters, from one YAML file.

Belongs here: reading and validating that file, the list of models. Does not: the models (models/), training (fitting.py).
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
"""Names of aliases and of other assets in the same group."""


@dataclass(frozen=True)
class BlendParams:
    """A weighted sum of other variants; `components` are their names.

    The weights are chosen on the latest share `held_out` of all likes, by NDCG@k of at most `max_users` readers.
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
    """A named model with parameters."""

    name: str
    model: str
    params: Params

    def recipe(self, variants: "Variants") -> dict[str, Any]:
        """Return all that determines the trained model besides data and code, as JSON values; a blend's includes its components.

        Components that `variants_of_recipe` prefixed with the name of the blend get their plain name back, so that a recipe does not
        change when it is stored and read again.
        """
        own = {"model": self.model, **asdict(self.params)}
        if isinstance(self.params, BlendParams):
            own["components"] = {
                name.rpartition(".")[2]: variants[name].recipe(variants) for name in self.params.components
            }
        return own


Variants = Mapping[str, Variant]


def load_variants(path: Path | None = None) -> dict[str, Variant]:
    """Read the variants of a file, or the default ones.

    The baseline is always included, and blends come after their components. Raises ModelError, which says what is wrong where.
    """
    where = Path(str(path or DEFAULTS))
    try:
        content = read_yaml(where)
    except (OSError, ValueError) as error:
        raise ModelError(f"The variants cannot be read from {where}: {error}.") from error
    if not isinstance(content, dict) or not content:
        raise ModelError(f"{where} has no variants: add lines like `name: {{model: …, parameter: …}}`.")
    found = {
        _validate_name(name, where): variant_of(str(name), {} if parameters is None else parameters)
        for name, parameters in content.items()
    }
    baseline = found.pop(BASELINE, None) or variant_of(BASELINE, {})
    _check_baseline(baseline, where)
    _check_blends({BASELINE: baseline} | found, where)
    return _components_first({BASELINE: baseline} | found)


def _validate_name(name: Any, where: Any) -> str:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ModelError(
            f"{where}: {name!r} cannot name a variant: use lower-case letters, digits and underscores, a letter first."
        )
    if name in RESERVED:
        raise ModelError(f"{where}: {name} is a reserved name: choose another name for the variant.")
    return name


def variant_of(name: str, parameters: Mapping[str, Any]) -> Variant:
    """Build a variant from its name and parameters; `model` defaults to the name. ModelError if anything is invalid."""
    if not isinstance(parameters, Mapping):
        raise ModelError(f"Variant {name} must be a mapping of parameters to values, not {parameters!r}.")
    own = dict(parameters)
    model = own.pop("model", name)
    if not isinstance(model, str) or model not in PARAMS:
        raise ModelError(f"Variant {name} has the unknown model {model!r}: use one of {', '.join(PARAMS)}.")
    kind = PARAMS[model]
    _reject_unknown(name, model, own, kind)
    try:
        params: Params = TypeAdapter(kind).validate_python(own)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        message = first["msg"].lower().replace("a valid tuple", "a list")
        raise ModelError(f"Variant {name}, parameter {where}: {message}, not {first['input']!r}.") from error
    return Variant(name, model, params)


def with_variant(variants: "Variants", name: str, parameters: Mapping[str, Any]) -> "Variants":
    """Add a variant to those of a file, under the same rules. ModelError if its name is taken or anything is invalid."""
    if name in variants:
        raise ModelError(f"{name} is a variant of this world already: choose another name.")
    added = {**variants, _validate_name(name, "The recipe"): variant_of(name, parameters)}
    _check_blends(added, "The recipe")
    return added


def _reject_unknown(name: str, model: str, own: Mapping[str, Any], kind: Any) -> None:
    """ModelError for a parameter that the model or a group of its parameters does not have, or a boolean in place of a number."""
    known = {each.name: each for each in fields(kind)}
    if unknown := sorted(map(str, own.keys() - known.keys())):
        raise ModelError(f"Variant {name} has the unknown parameter {unknown[0]!r}: {model} has {', '.join(known)}.")
    for parameter, value in own.items():
        if isinstance(value, bool) and not isinstance(known[parameter].default, bool):
            raise ModelError(f"Variant {name}, parameter {parameter}: input should be a number, not {value!r}.")
        group = known[parameter].default_factory
        if isinstance(value, Mapping) and isinstance(group, type):
            _reject_unknown(name, parameter, value, group)


def variants_of_recipe(name: str, recipe: Mapping[str, Any]) -> dict[str, Variant]:
    """Build the variants of a stored recipe: the variant itself and a blend's components, named `{name}.{component}`."""
    parts = recipe.get("components")
    if not isinstance(parts, Mapping):
        return {name: variant_of(name, recipe)}
    named = {f"{name}.{part}": parameters for part, parameters in parts.items()}
    components = {part: variant_of(part, parameters) for part, parameters in named.items()}
    return components | {name: variant_of(name, {**recipe, "components": tuple(named)})}


def _check_baseline(variant: Variant, where: Any) -> None:
    """ModelError unless the baseline has the model popularity: all models fall back to it."""
    if variant.model != BASELINE:
        raise ModelError(
            f"{where}: the variant {BASELINE} is the baseline and must have the model {BASELINE}, not {variant.model}: "
            "choose another name for the other model."
        )


def _check_blends(variants: Variants, where: Any) -> None:
    for name, variant in variants.items():
        parts = components_of(variant)
        for part in parts:
            if parts.count(part) > 1:
                raise ModelError(f"{where}: the blend {name} lists the component {part!r} twice.")
            if part not in variants or components_of(variants[part]):
                raise ModelError(
                    f"{where}: the blend {name} has the component {part!r}, which is not a variant or is itself a blend."
                )


def components_of(variant: Variant) -> Sequence[str]:
    """Return the names of a blend's components; empty for any other variant."""
    return variant.params.components if isinstance(variant.params, BlendParams) else ()


def _components_first(variants: Mapping[str, Variant]) -> dict[str, Variant]:
    return dict(sorted(variants.items(), key=lambda item: bool(components_of(item[1]))))
