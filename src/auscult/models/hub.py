"""Models of transformers from a hub name, a local folder, or a configuration alone.

Safetensors only.
"""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from auscult.core.errors import CheckpointError, ConfigError, MissingExtraError
from auscult.core.rng import seed_of
from auscult.models.initial import redraw_weights
from auscult.models.weights import refuse_keys


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
    refuse_keys(checkpoint, missing, sorted(report.get("unexpected_keys", [])))
    return model.eval()


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
        said = str(error).strip().split("\n")[0]
        raise CheckpointError(
            f"the configuration of {checkpoint} cannot be read ({said})"
        ) from error
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
