"""Models of transformers from a hub name, a local folder, or a configuration alone.

Safetensors only.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from auscult.core.errors import CheckpointError, ConfigError, MissingExtraError
from auscult.core.rng import seed_of
from auscult.models.base import Weights
from auscult.models.initial import redraw_weights
from auscult.models.weights import refuse_keys, shuffle_weights


def transformers_module(feature: str) -> ModuleType:
    """Import transformers, which takes seconds, only when a model needs it.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import transformers
    except ImportError as error:
        raise MissingExtraError(feature, "transformers", "codecs") from error
    return transformers  # type: ignore[no-any-return]


def load_pretrained(cls: Any, checkpoint: str, **where: str) -> Any:
    """Load a model whose keys all match; a local folder never touches the network.

    Args:
        cls: A model class of transformers or diffusers.
        checkpoint: A hub name or a local folder.
        where: Where in it, as the library names it (``subfolder``).

    Raises:
        CheckpointError: It is not there, has unsafe pickles only, or keys that do not match.
    """
    model, missing, unexpected = _load(cls, checkpoint, **where)
    refuse_keys(checkpoint, missing, unexpected)
    return model.eval()


def transformers_codec(
    family: str,
    checkpoint: str,
    overrides: Mapping[str, Any],
    published: Mapping[str, Mapping[str, Any]],
    weights: Weights,
    seed: int,
) -> Any:
    """A codec of transformers: loaded, loaded and shuffled, or drawn from a configuration alone.

    Args:
        family: What the names of its classes begin with, such as ``Dac``.
        checkpoint: A hub name or a local folder.
        overrides: Changes of the configuration, for random weights only.
        published: What :func:`read_config` is to know without a network.
        weights: Which.
        seed: Of what is drawn or shuffled.

    Raises:
        MissingExtraError: transformers is not installed.
        CheckpointError: The checkpoint cannot be loaded or does not fit.
        ConfigError: Changes of the configuration that do not go with the weights, or are unknown.
    """
    transformers = transformers_module(family.lower())
    network = getattr(transformers, f"{family}Model")
    if weights == "random":
        configuration = getattr(transformers, f"{family}Config")
        config = read_config(configuration, checkpoint, published, overrides)
        return fresh(network, config, seed)
    if overrides:
        raise ConfigError('model.config changes the architecture: it needs weights = "random"')
    module = load_pretrained(network, checkpoint)
    if weights == "shuffled":
        shuffle_weights(module, seed)
    return module


def load_part(cls: Any, checkpoint: str, part: str) -> Any:
    """Load one part of a model, such as the encoder of a sequence model.

    Keys of other parts, and of heads that the class does not have, do not matter; neither does the
    vector that stands for masked frames, which is used in training only.

    Args:
        cls: A model class of transformers.
        checkpoint: A hub name or a local folder.
        part: Attribute of the model; "" for all of it.

    Raises:
        CheckpointError: It is not there, has unsafe pickles only, or lacks keys of the part.
    """
    model, missing, unexpected = _load(cls, checkpoint)
    module = getattr(model, part) if part else model
    known = {name for name, _ in module.named_children()}

    def is_own(key: str) -> bool:
        names = key.removeprefix(f"{model.base_model_prefix}.").split(".")
        return names[0] == part if part else names[0] in known or len(names) == 1

    missing = [key for key in missing if is_own(key) and not key.endswith("masked_spec_embed")]
    refuse_keys(checkpoint, missing, [key for key in unexpected if is_own(key)])
    return module.eval()


def read_kind(checkpoint: str) -> str:
    """The ``model_type`` that a checkpoint's configuration names.

    Raises:
        CheckpointError: The configuration cannot be read.
    """
    local = Path(checkpoint).expanduser().is_dir()
    name = str(Path(checkpoint).expanduser()) if local else checkpoint
    try:
        config, _ = transformers_module("models of transformers").PretrainedConfig.get_config_dict(
            name, local_files_only=local
        )
    except (OSError, ValueError) as error:
        raise _unreadable("the configuration", checkpoint, error) from error
    return str(config.get("model_type", "model of an unknown type"))


def load_feature_extractor(cls: Any, checkpoint: str | None) -> Any:
    """How a checkpoint hears: its sample rate and the settings of its features.

    Without a checkpoint, the library's own settings for this class.

    Raises:
        CheckpointError: It is not there.
    """
    with warnings.catch_warnings():
        # AST's own filters are finer than the bins of its transform, which is no news.
        warnings.filterwarnings("ignore", "At least one mel filter has all zero values")
        return cls() if checkpoint is None else _extractor_of(cls, checkpoint)


def _extractor_of(cls: Any, checkpoint: str) -> Any:
    local = Path(checkpoint).expanduser().is_dir()
    name = str(Path(checkpoint).expanduser()) if local else checkpoint
    try:
        return cls.from_pretrained(name, local_files_only=local)
    except (OSError, ValueError) as error:
        what = "the feature extractor (preprocessor_config.json)"
        raise _unreadable(what, checkpoint, error) from error


def _load(cls: Any, checkpoint: str, **where: str) -> tuple[Any, list[str], list[str]]:
    """A model, the keys that it lacks and those that it does not know."""
    local = Path(checkpoint).expanduser().is_dir()
    name = str(Path(checkpoint).expanduser()) if local else checkpoint
    if local and not any(Path(name).glob("*.safetensors")):
        raise CheckpointError(
            f"the folder {checkpoint} holds no .safetensors file; other formats could execute code "
            f"and are refused, convert them with safetensors.torch.save_file"
        )
    try:
        model, report = cls.from_pretrained(
            name, local_files_only=local, use_safetensors=True, output_loading_info=True, **where
        )
    except (OSError, RuntimeError, ValueError) as error:
        said = str(error).strip().split("\n")[0]
        raise CheckpointError(
            f"{checkpoint} cannot be loaded ({said}); give a local folder with config.json and "
            f'model.safetensors, or weights = "random"'
        ) from error
    mismatched = [str(key) for key in report.get("mismatched_keys", [])]
    missing = sorted([*report.get("missing_keys", []), *mismatched])
    return model, missing, sorted(report.get("unexpected_keys", []))


def _unreadable(what: str, checkpoint: str, error: Exception) -> CheckpointError:
    said = str(error).strip().split("\n")[0]
    return CheckpointError(f"{what} of {checkpoint} cannot be read ({said})")


def read_config(
    cls: Any,
    checkpoint: str,
    published: Mapping[str, Mapping[str, Any]],
    overrides: Mapping[str, Any],
) -> Any:
    """The configuration of a checkpoint, with changes.

    From its folder, from what is published, or the hub.

    Raises:
        ConfigError: A change that the configuration does not know or refuses.
        CheckpointError: The configuration cannot be read.
    """
    try:
        if Path(checkpoint).expanduser().is_dir():
            known = cls.from_pretrained(Path(checkpoint).expanduser(), local_files_only=True)
        elif checkpoint in published:
            known = cls(**published[checkpoint])
        else:
            known = cls.from_pretrained(checkpoint)
    except (OSError, ValueError) as error:
        raise _unreadable("the configuration", checkpoint, error) from error
    data = known.to_dict()
    unknown = sorted(set(overrides) - set(data))
    if unknown:
        raise ConfigError(f"model.config: {cls.__name__} has no {', '.join(unknown)}")
    kept = {key: value for key, value in data.items() if key not in _derived(data, overrides)}
    try:
        return cls(**{**kept, **overrides})
    except Exception as error:
        raise ConfigError(f"model.config: {error}") from error


def _derived(data: Mapping[str, Any], overrides: Mapping[str, Any]) -> set[str]:
    """Entries that follow from others and must be worked out anew when those change."""
    own = {"transformers_version", "model_type", "architectures", "hop_length", "upsampling_ratios"}
    if "downsampling_ratios" not in data:
        own.discard("upsampling_ratios")
    if overrides.keys() & {"hidden_size", "num_attention_heads"}:
        own.add("head_dim")
    if "hidden_size" in overrides or "encoder_hidden_size" in data:
        own |= {"codebook_dim"} if "encoder_hidden_size" not in data else {"hidden_size"}
    return own


def fresh(cls: Any, config: Any, seed: int) -> Any:
    """A model with newly drawn weights; torch's global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(seed, "weights"))
        module = cls(config).eval()
    redraw_weights(module, seed)
    return module
