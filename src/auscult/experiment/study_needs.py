"""What a study needs of a model before it can be written down."""

from auscult.core.errors import ConfigError
from auscult.models.base import MODELS, AudioModel

_CODECS = ("mini-encodec", "encodec", "dac", "mimi", "oobleck", "wavtokenizer")
_GENERATORS = ("mini-flow", "diffusers", "musicgen", "diffrhythm")


def expect_codec(model: AudioModel) -> None:
    """Refuse a model that cannot turn what is moved back into sound.

    Raises:
        ConfigError: It has no codec; the sentence names models that have.
    """
    if model.codec is None:
        known = ", ".join(name for name in _CODECS if name in MODELS.names())
        raise ConfigError(
            f"{model.name} cannot turn its activations back into sound, so nothing can be steered: "
            f"take {known}, or name the methods of a codec of your own with "
            "--set model.encode=… --set model.decode=…"
        )


def expect_generator(model: AudioModel) -> None:
    """Refuse a model that makes no sound in steps.

    Raises:
        ConfigError: It has no generator; the sentence names models that have.
    """
    if model.generator is None:
        known = ", ".join(name for name in _GENERATORS if name in MODELS.names())
        raise ConfigError(
            f"{model.name} makes no sound in steps, so there is nothing to watch: take {known}, "
            "or a module of your own with an attribute generator"
        )
