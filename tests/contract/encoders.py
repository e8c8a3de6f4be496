"""Small configurations of the hub's audio encoders, each of a real class of transformers."""

_TRANSFORMER = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
}
_SPEECH = {
    **_TRANSFORMER,
    "conv_dim": [8, 8, 8],
    "conv_kernel": [10, 3, 3],
    "conv_stride": [5, 4, 4],
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
}
CONFIGS = {
    "audio-spectrogram-transformer": {**_TRANSFORMER, "max_length": 64, "num_mel_bins": 36},
    "hubert": _SPEECH,
    "wav2vec2": {**_SPEECH, "feat_extract_norm": "layer", "do_stable_layer_norm": True},
    "wavlm": _SPEECH,
    "whisper": {
        "d_model": 16,
        "encoder_layers": 2,
        "encoder_attention_heads": 2,
        "encoder_ffn_dim": 48,
        "max_source_positions": 50,
        "num_mel_bins": 20,
    },
    "clap": {
        "hidden_size": 16,
        "patch_embeds_hidden_size": 8,
        "depths": [1, 1],
        "num_attention_heads": [1, 2],
        "spec_size": 64,
        "num_mel_bins": 16,
        "window_size": 4,
    },
}


def section(architecture: str) -> dict:
    """The ``[model]`` section of a small encoder; the speech one with layer norms hears no means."""
    local = {"normalise": False} if architecture == "wav2vec2" else {}
    return {
        "type": "hf-audio",
        "architecture": architecture,
        "config": CONFIGS[architecture],
        **local,
    }
