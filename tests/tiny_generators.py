"""Small generators of the real classes, with weights drawn here, written as checkpoints.

Each folder is written once in a process; nothing is fetched.
"""

import tempfile
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import torch

WORDS = ["a", "low", "high", "flute", "drum", "loud", "soft", "note", "of", "the"]


@cache
def _root() -> tempfile.TemporaryDirectory:
    return tempfile.TemporaryDirectory(prefix="tiny-generators-")


def _save(pipe: Any, name: str) -> str:
    folder = Path(_root().name) / name
    pipe.save_pretrained(folder)
    return str(folder)


def t5() -> tuple[Any, Any]:
    """A tokenizer of ten words and letters, and an encoder for it."""
    from transformers import T5Config, T5EncoderModel, T5Tokenizer

    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    pieces += [("▁" + word, -2.0) for word in WORDS]
    pieces += [(letter, -6.0) for letter in "▁abcdefghijklmnopqrstuvwxyz"]
    tokenizer = T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=8)
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}
    return tokenizer, T5EncoderModel(T5Config(vocab_size=len(tokenizer), **sizes))


@cache
def stable_audio(scheduler: str = "EDMDPMSolverMultistepScheduler") -> str:
    """A pipeline of Stable Audio: twelve latent frames of eight samples at 16 kHz, in stereo."""
    import diffusers
    from diffusers import (
        AutoencoderOobleck,
        StableAudioDiTModel,
        StableAudioPipeline,
        StableAudioProjectionModel,
    )

    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.manual_seed(0)
        tokenizer, encoder = t5()
        vae = AutoencoderOobleck(
            encoder_hidden_size=8,
            downsampling_ratios=[2, 4],
            channel_multiples=[1, 2],
            decoder_channels=8,
            decoder_input_channels=4,
            sampling_rate=16_000,
        )
        transformer = StableAudioDiTModel(
            sample_size=12,
            in_channels=4,
            out_channels=4,
            num_layers=2,
            attention_head_dim=8,
            num_attention_heads=2,
            num_key_value_attention_heads=2,
            cross_attention_dim=16,
            cross_attention_input_dim=16,
            time_proj_dim=8,
            global_states_input_dim=32,
        )
        projection = StableAudioProjectionModel(
            text_encoder_dim=16, conditioning_dim=16, min_value=0, max_value=32
        )
        steps = getattr(diffusers, scheduler)(
            sigma_min=0.3, sigma_max=500, sigma_data=1.0, prediction_type="v_prediction"
        )
        pipe = StableAudioPipeline(vae, encoder, projection, tokenizer, transformer, steps)
    return _save(pipe, f"stable-audio-{scheduler}")


def _clap(text_only: bool) -> tuple[Any, Any]:
    from transformers import (
        ClapConfig,
        ClapModel,
        ClapTextConfig,
        ClapTextModelWithProjection,
        RobertaTokenizer,
    )

    vocab = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "<mask>": 4}
    vocab |= {letter: 5 + i for i, letter in enumerate("abcdefghijklmnopqrstuvwxyzĠ")}
    tokenizer = RobertaTokenizer(vocab=vocab, merges=[], model_max_length=16)
    text = {
        "vocab_size": len(vocab),
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 20,
        "projection_dim": 16,
    }
    if text_only:
        return tokenizer, ClapTextModelWithProjection(ClapTextConfig(**text))
    audio = {
        "hidden_size": 16,
        "patch_embeds_hidden_size": 8,
        "depths": [1, 1],
        "num_attention_heads": [1, 2],
        "spec_size": 64,
        "num_mel_bins": 16,
        "window_size": 4,
        "projection_dim": 16,
        "num_hidden_layers": 2,
    }
    return tokenizer, ClapModel(ClapConfig(text_config=text, audio_config=audio, projection_dim=16))


def _pictures() -> tuple[Any, Any, Any]:
    """A picture autoencoder of two levels, a vocoder of sixteen bands and samples, a scheduler."""
    from diffusers import AutoencoderKL, DDIMScheduler
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

    vae = AutoencoderKL(
        block_out_channels=[8, 16],
        in_channels=1,
        out_channels=1,
        norm_num_groups=4,
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        latent_channels=4,
        scaling_factor=0.9,
    )
    vocoder = SpeechT5HifiGan(
        SpeechT5HifiGanConfig(
            model_in_dim=16,
            sampling_rate=16_000,
            upsample_initial_channel=8,
            upsample_rates=[4, 4],
            upsample_kernel_sizes=[8, 8],
            resblock_kernel_sizes=[3],
            resblock_dilation_sizes=[[1, 3]],
            normalize_before=False,
            initializer_range=0.3,
        )
    )
    scheduler = DDIMScheduler(
        beta_start=0.0015,
        beta_end=0.0195,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
    )
    return vae, vocoder, scheduler


_UNET = {
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "sample_size": 8,
    "in_channels": 4,
    "out_channels": 4,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": 4,
}


@cache
def audioldm2() -> str:
    """The whole pipeline of AudioLDM 2, language model and all."""
    from diffusers import (
        AudioLDM2Pipeline,
        AudioLDM2ProjectionModel,
        AudioLDM2UNet2DConditionModel,
    )
    from transformers import ClapFeatureExtractor, GPT2Config, GPT2LMHeadModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        tokenizer_2, encoder_2 = t5()
        tokenizer, encoder = _clap(text_only=False)
        sizes = {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 64}
        ends = {"bos_token_id": 0, "eos_token_id": 1}
        language = GPT2LMHeadModel(GPT2Config(vocab_size=50, **sizes, **ends))
        language.config.max_new_tokens = 4
        projection = AudioLDM2ProjectionModel(
            text_encoder_dim=16, text_encoder_1_dim=16, langauge_model_dim=16
        )
        unet = AudioLDM2UNet2DConditionModel(
            **_UNET, cross_attention_dim=[[None, 16, 16]] * 2, transformer_layers_per_block=1
        )
        vae, vocoder, scheduler = _pictures()
        pipe = AudioLDM2Pipeline(
            vae,
            encoder,
            encoder_2,
            projection,
            language,
            tokenizer,
            tokenizer_2,
            ClapFeatureExtractor(),
            unet,
            scheduler,
            vocoder,
        )
    return _save(pipe, "audioldm2")


def _latent_diffusion(pipeline: Any, text_only: bool, *further: Any) -> Any:
    """A pipeline of AudioLDM's kind, whose prompt is one vector beside the time."""
    from diffusers import UNet2DConditionModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        tokenizer, encoder = _clap(text_only)
        unet = UNet2DConditionModel(
            **_UNET,
            cross_attention_dim=(8, 16),
            class_embed_type="simple_projection",
            projection_class_embeddings_input_dim=16,
            class_embeddings_concat=True,
        )
        vae, vocoder, scheduler = _pictures()
        return pipeline(vae, encoder, tokenizer, *further, unet, scheduler, vocoder)


@cache
def audioldm() -> str:
    """AudioLDM, with the half of CLAP that reads."""
    from diffusers import AudioLDMPipeline

    return _save(_latent_diffusion(AudioLDMPipeline, True), "audioldm")


@cache
def musicldm() -> str:
    """MusicLDM: AudioLDM with the whole of CLAP, to rank what it made."""
    from diffusers import MusicLDMPipeline
    from transformers import ClapFeatureExtractor

    pipe = _latent_diffusion(MusicLDMPipeline, False, ClapFeatureExtractor())
    return _save(pipe, "musicldm")


def assembled_musicgen(n_channels: int = 1) -> Any:
    """A MusicGen put together from its parts, as transformers lets one do."""
    from transformers import (
        EncodecConfig,
        EncodecModel,
        MusicgenDecoderConfig,
        MusicgenForCausalLM,
        MusicgenForConditionalGeneration,
    )

    with torch.random.fork_rng():
        torch.manual_seed(0)
        _, encoder = t5()
        codec = EncodecModel(
            EncodecConfig(
                num_filters=4,
                hidden_size=16,
                codebook_size=32,
                upsampling_ratios=[4, 2],
                sampling_rate=16_000,
                target_bandwidths=[20.0],
            )
        )
        decoder = MusicgenForCausalLM(
            MusicgenDecoderConfig(
                vocab_size=32,
                hidden_size=16,
                num_hidden_layers=2,
                num_attention_heads=2,
                ffn_dim=32,
                num_codebooks=2 * n_channels,
                audio_channels=n_channels,
                pad_token_id=32,
                bos_token_id=32,
                initializer_factor=0.3,
            )
        )
        module = MusicgenForConditionalGeneration(
            text_encoder=encoder, audio_encoder=codec, decoder=decoder
        ).eval()
    settings = module.generation_config
    settings.decoder_start_token_id = settings.pad_token_id = settings.bos_token_id = 32
    settings.guidance_scale = 3.0
    return module


@cache
def musicgen(n_channels: int = 1) -> str:
    """A MusicGen of two levels, in whose codec every level has entries that fit its latents."""
    from auscult.models.seanet import Seanet

    tokenizer, _ = t5()
    module = assembled_musicgen(n_channels)
    Seanet(module.audio_encoder, None).fill(0)
    folder = Path(_root().name) / f"musicgen-{n_channels}"
    module.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@cache
def longcat() -> str:
    """LongCat's pipeline: frames first, a flow whose σ rises, guidance in two passes."""
    from diffusers import (
        FlowMatchEulerDiscreteScheduler,
        LongCatAudioDiTPipeline,
        LongCatAudioDiTTransformer,
        LongCatAudioDiTVae,
    )
    from transformers import UMT5Config, UMT5EncoderModel

    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.manual_seed(0)
        tokenizer, _ = t5()
        sizes = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}
        encoder = UMT5EncoderModel(UMT5Config(vocab_size=len(tokenizer), **sizes))
        vae = LongCatAudioDiTVae(
            channels=8,
            c_mults=[1, 2],
            strides=[2, 4],
            latent_dim=4,
            encoder_latent_dim=8,
            downsampling_ratio=8,
            sample_rate=16_000,
        )
        transformer = LongCatAudioDiTTransformer(
            dit_dim=16, dit_depth=2, dit_heads=2, dit_text_dim=16, latent_dim=4, ff_mult=2.0
        )
        scheduler = FlowMatchEulerDiscreteScheduler(shift=1.0, invert_sigmas=True)
        pipe = LongCatAudioDiTPipeline(vae, encoder, tokenizer, transformer, scheduler)
    return _save(pipe, "longcat")


@cache
def ace_step() -> str:
    """ACE-Step: frames first, two of them to a token, conditional rows first."""
    from diffusers import (
        AceStepPipeline,
        AceStepTransformer1DModel,
        AutoencoderOobleck,
        FlowMatchEulerDiscreteScheduler,
    )
    from diffusers.pipelines.ace_step import AceStepConditionEncoder

    sizes = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 8,
    }
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.manual_seed(0)
        tokenizer, encoder = t5()
        # Half a minute of silence goes into the condition encoder: a low rate keeps that short.
        vae = AutoencoderOobleck(
            encoder_hidden_size=8,
            downsampling_ratios=[2, 4],
            channel_multiples=[1, 2],
            decoder_channels=8,
            decoder_input_channels=4,
            sampling_rate=160,
        )
        condition = AceStepConditionEncoder(
            **sizes,
            text_hidden_dim=16,
            timbre_hidden_dim=4,
            num_lyric_encoder_hidden_layers=1,
            num_timbre_encoder_hidden_layers=1,
        )
        transformer = AceStepTransformer1DModel(
            **sizes,
            num_hidden_layers=2,
            in_channels=12,
            audio_acoustic_hidden_dim=4,
            layer_types=["sliding_attention", "full_attention"],
        )
        scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=1, shift=1.0)
        pipe = AceStepPipeline(vae, encoder, tokenizer, transformer, condition, scheduler)
    return _save(pipe, "ace-step")
