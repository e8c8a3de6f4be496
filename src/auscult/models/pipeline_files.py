"""Pipelines of diffusers from their files: the library's own classes only, safetensors only."""

from pathlib import Path
from typing import Any

import torch

from auscult.core.errors import CheckpointError, MissingExtraError
from auscult.core.rng import seed_of
from auscult.models.initial import redraw_weights
from auscult.models.residual_stacks import level_stages


def load_pipeline(checkpoint: str) -> Any:
    """Load a pipeline from a folder or hub name; a folder never touches the network.

    Raises:
        MissingExtraError: diffusers or transformers is not installed, or what a scheduler needs.
        CheckpointError: It is not there, or holds code or pickles.
    """
    diffusers = _diffusers()
    index, name, local = _index(diffusers, checkpoint)
    if local:
        _refuse_pickles(diffusers, Path(name), index)
    try:
        return diffusers.DiffusionPipeline.from_pretrained(
            name, local_files_only=local, use_safetensors=True
        )
    except ImportError as error:
        raise _lacking(error) from error
    except (OSError, ValueError, RuntimeError) as error:
        raise _unreadable(checkpoint, error) from error


def fresh_pipeline(checkpoint: str, seed: int) -> Any:
    """A pipeline whose networks are drawn anew from the configurations of a folder or hub name.

    Tokenizers, schedulers and feature extractors are the checkpoint's own. torch's global random
    state is left as it was.

    Raises:
        MissingExtraError: diffusers or transformers is not installed, or what a scheduler needs.
        CheckpointError: A configuration cannot be read.
    """
    diffusers = _diffusers()
    index, name, local = _index(diffusers, checkpoint)
    parts: dict[str, Any] = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(seed, "weights"))
        for part, (library, kind) in index.items():
            cls = _class(diffusers, checkpoint, library, kind)
            try:
                parts[part] = _made(diffusers, cls, name, part, local)
            except ImportError as error:
                raise _lacking(error) from error
            except (OSError, ValueError) as error:
                raise _unreadable(f"{checkpoint}/{part}", error) from error
    for part in parts.values():
        if isinstance(part, torch.nn.Module):
            redraw_weights(part, seed)
    vae: Any = parts.get("vae")
    if type(vae).__name__ == "AutoencoderOobleck":
        level_stages(vae, vae.config.audio_channels, vae.config.sampling_rate, seed)
    pipeline = getattr(diffusers, _pipeline_name(diffusers, checkpoint, name, local))
    return pipeline(**parts)


def _diffusers() -> Any:
    """Import diffusers, which takes seconds, only when a model needs it."""
    try:
        import diffusers
        import transformers  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("a pipeline", "diffusers and transformers", "diffusion") from error
    return diffusers


def _index(diffusers: Any, checkpoint: str) -> tuple[dict[str, tuple[str, str]], str, bool]:
    """Library and class of each part, where to look for it, and whether that is a folder here."""
    folder = Path(checkpoint).expanduser()
    local = folder.is_dir()
    name = str(folder) if local else checkpoint
    _pipeline_name(diffusers, checkpoint, name, local)
    told = diffusers.DiffusionPipeline.load_config(name, local_files_only=local)
    parts = {
        part: (str(value[0]), str(value[1]))
        for part, value in told.items()
        if isinstance(value, list | tuple) and len(value) == 2 and value[0] is not None
    }
    for library, kind in parts.values():
        _class(diffusers, checkpoint, library, kind)
    return parts, name, local


def _pipeline_name(diffusers: Any, checkpoint: str, name: str, local: bool) -> str:
    try:
        told = diffusers.DiffusionPipeline.load_config(name, local_files_only=local)
    except (OSError, ValueError) as error:
        raise _unreadable(checkpoint, error) from error
    kind = told.get("_class_name")
    if not isinstance(kind, str) or not hasattr(diffusers, kind):
        raise CheckpointError(
            f"{checkpoint} is a pipeline of its own code ({kind}), which is not executed: load "
            f"it yourself through the model type python"
        )
    return kind


def _class(diffusers: Any, checkpoint: str, library: str, kind: str) -> Any:
    """A class of diffusers or transformers; what a checkpoint brings along is refused."""
    import transformers

    homes = {"diffusers": diffusers, "transformers": transformers}
    home = homes.get(library, getattr(diffusers.pipelines, library, None))
    if home is None or not hasattr(home, kind):
        raise CheckpointError(
            f"{checkpoint} asks for {library}.{kind}, which is no class of diffusers or "
            f"transformers and is not executed"
        )
    return getattr(home, kind)


def _made(diffusers: Any, cls: Any, name: str, part: str, local: bool) -> Any:
    import transformers

    where = {"subfolder": part, "local_files_only": local}
    if issubclass(cls, diffusers.ModelMixin):
        return cls.from_config(cls.load_config(name, **where))
    if issubclass(cls, transformers.PreTrainedModel):
        return cls._from_config(cls.config_class.from_pretrained(name, **where))
    return cls.from_pretrained(name, **where)


def _refuse_pickles(diffusers: Any, folder: Path, index: dict[str, tuple[str, str]]) -> None:
    for part, (library, kind) in index.items():
        cls = _class(diffusers, str(folder), library, kind)
        network = isinstance(cls, type) and issubclass(cls, torch.nn.Module)
        if network and not any((folder / part).glob("*.safetensors")):
            raise CheckpointError(
                f"the folder {folder / part} holds no .safetensors file; other formats could "
                f"execute code and are refused, convert them with safetensors.torch.save_file"
            )


def _lacking(error: ImportError) -> MissingExtraError:
    said = str(error).strip().split("\n")[0]
    return MissingExtraError(f"this pipeline ({said})", "what is named", "diffusion")


def _unreadable(checkpoint: str, error: Exception) -> CheckpointError:
    said = str(error).strip().split("\n")[0]
    return CheckpointError(
        f"{checkpoint} cannot be loaded ({said}); give a local folder with model_index.json"
    )
