"""What a steering study needs of a model before it can be written down."""

from auscult.core.errors import ConfigError
from auscult.models.base import MODELS, AudioModel

_CODECS = ("mini-encodec", "encodec", "dac", "mimi", "oobleck", "wavtokenizer")


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
