"""The bundled audio ViT and its supervised twin: the same in all but what they have learnt."""

from collections import Counter

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from auscult.core.errors import AudioError
from auscult.models.base import MODELS
from auscult.sounds.base import SOUNDS, clips
from auscult.taps.capture import run_capture

CLIP = {"sample_rate": 16_000, "n_channels": 1, "clip_seconds": 1.6}


def make(training, weights="trained"):
    family, params = MODELS.parse({"type": "mini-audio-vit", "training": training}, "model")
    return family.build(params, weights, 0)


def heard(section):
    """First clips of a source's recordings, as one batch, and their labels."""
    family, params = SOUNDS.parse(section, "sounds")
    source = family(params, 0)
    cut = clips(source, source.recordings(), **CLIP, on_skip=lambda skip: None)
    first = [clip for clip in cut if clip.clip_id.endswith("#0")]
    return torch.from_numpy(np.stack([c.audio.samples for c in first])), [c.labels for c in first]


def test_the_twins_differ_in_weights_and_the_head_only():
    masked, supervised = make("masked").vit, make("supervised").vit
    one, other = (dict(vit.named_parameters()) for vit in (masked, supervised))
    assert set(other) - set(one) == {"head.weight", "head.bias"}
    assert all(one[name].shape == other[name].shape for name in one)
    assert torch.equal(one["norm_stats"], other["norm_stats"])
    assert not torch.equal(one["blocks.0.mlp.fc1.weight"], other["blocks.0.mlp.fc1.weight"])


def test_the_supervised_twin_has_a_label_for_each_logit():
    model = make("supervised")
    with torch.no_grad():
        logits = model.forward(torch.zeros(2, 1, 16_000))
    assert logits.shape == (2, len(model.labels)) == (2, 82)
    assert len(set(model.labels)) == 82
    assert make("masked").labels == ()


def test_the_supervised_twin_names_families_of_programs_that_it_never_met():
    """The bundled notes and phrases are played by held-out programs; two in eight is chance twice."""
    model = make("supervised")
    sound, labels = heard({"type": "bundled", "kinds": ["note", "phrase"]})
    with torch.no_grad():
        logits = model.forward(sound)[:, :8]
    said = [model.labels[i] for i in logits.argmax(1)]
    truth = [str(label["family"]) for label in labels]
    right = np.mean([a == b for a, b in zip(said, truth, strict=True)])
    largest = Counter(truth).most_common(1)[0][1] / len(truth)
    assert right > largest + 0.2


def told(model, sound, labels):
    """Share of envelopes that a linear probe on the mean of the last columns names, on the other half."""
    seen = run_capture(model, sound, ["columns"])["columns"].values.mean(1).numpy()
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300))
    return probe.fit(seen[::2], labels[::2]).score(seen[1::2], labels[1::2])


def test_the_masked_twin_has_learnt_how_sounds_go_on_without_a_label():
    """On synthetic notes that it never heard, against the same architecture with random weights."""
    sound, labels = heard({"type": "notes", "n": 160, "seconds": 1.6, "sample_rate": 16_000})
    envelopes = np.array([str(label["envelope"]) for label in labels])
    trained, random = (told(make("masked", w), sound, envelopes) for w in ("trained", "random"))
    largest = Counter(envelopes.tolist()).most_common(1)[0][1] / len(envelopes)
    assert trained > largest + 0.3
    assert trained > random + 0.1


@pytest.mark.parametrize("weights", ["random", "shuffled"])
def test_controls_keep_how_it_hears_and_nothing_that_it_learnt(weights):
    trained, control = make("masked").vit, make("masked", weights).vit
    assert torch.equal(control.mel.filters, trained.mel.filters)
    assert torch.equal(control.norm_stats, trained.norm_stats)
    for name in ("blocks.2.mlp.fc1.weight", "pos_embed", "patch_embed.proj.weight"):
        assert not torch.equal(dict(control.named_parameters())[name], trained.get_parameter(name))


def test_clips_beyond_its_positions_are_refused():
    with pytest.raises(AudioError, match=r"clip_seconds to 1\.6"):
        make("masked").forward(torch.zeros(1, 1, 25_601))
