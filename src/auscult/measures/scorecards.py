"""Results of one dictionary in the shape of SAEBench: one JSON for a dictionary and evaluation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from auscult.measures.quality import Quality


@dataclass(frozen=True)
class Scorecard:
    """SAEBench's four parts (Karvonen et al. 2025; version 0.6.0 of its files).

    Metrics keep SAEBench's names where they mean the same, and are None where they were not
    measured; what it has no name for stands under ``audio``.

    Attributes:
        eval_type_id: What was evaluated: ``core``, ``sparse_probing``, ``absorption``, …
        eval_config: With what: the dictionary, its tap, the sample.
        eval_result_metrics: Numbers by category.
        eval_result_details: One row a feature, or a task.
    """

    eval_type_id: str
    eval_config: Mapping[str, Any]
    eval_result_metrics: Mapping[str, Mapping[str, Any]]
    eval_result_details: Sequence[Mapping[str, Any]] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """The four parts."""
        return {
            "eval_type_id": self.eval_type_id,
            "eval_config": dict(self.eval_config),
            "eval_result_metrics": {k: dict(v) for k, v in self.eval_result_metrics.items()},
            "eval_result_details": [dict(row) for row in self.eval_result_details],
        }


def core_scorecard(quality: Quality, config: Mapping[str, Any]) -> Scorecard:
    """Fidelity, shrinkage, sparsity and density of a dictionary, as SAEBench's ``core``.

    What depends on a language model's loss is None here; the analysis of the model's own task has
    it. SAEBench takes its L2 ratio and bias on raw vectors, here they are about the mean: raw ones
    come near 1 by the offset alone.
    """
    one = quality.metrics
    moving = one.usage[one.usage > 0]
    mass = float(moving.sum())

    def held(share: float) -> float | None:
        return float(moving[moving > share].sum() / mass) if mass > 0 else None

    metrics: dict[str, dict[str, Any]] = {
        "model_behavior_preservation": {"kl_div_score": None},
        "model_performance_preservation": {"ce_loss_score": None},
        "reconstruction_quality": {
            "explained_variance": 1.0 - one.fvu,
            "cossim": one.cosine,
            "cossim_about_mean": one.centred_cosine,
        },
        "shrinkage": {
            "l2_ratio": one.relative_norm,
            "relative_reconstruction_bias": one.reconstruction_bias,
        },
        "sparsity": {"l0": one.l0, "hoyer": one.hoyer},
        "token_stats": {
            "total_tokens_eval_reconstruction": one.n_vectors,
            "total_tokens_eval_sparsity_variance": one.n_vectors,
        },
        "misc_metrics": {
            "freq_over_1_percent": float((one.usage > 0.01).mean()),
            "freq_over_10_percent": one.dense_share,
            "normalized_freq_over_1_percent": held(0.01),
            "normalized_freq_over_10_percent": held(0.1),
            "frac_alive": 1.0 - one.dead_fraction,
        },
        "audio": {
            "l0_per_second": one.l0_per_second,
            "dwell_s": quality.dwell_s,
            "dwell_shuffled_s": quality.dwell_shuffled_s,
        },
    }
    details = [
        {
            "index": index,
            "feature_density": float(usage),
            "clip_density": float(clips),
            "dwell_s": float(dwell),
        }
        for index, (usage, clips, dwell) in enumerate(
            zip(one.usage, quality.clip_usage, quality.dwell_by_feature_s, strict=True)
        )
    ]
    return Scorecard("core", config, metrics, details)
