"""Golden folders of other packages, written by their own code from numbers that are drawn here.

The packages cannot share an environment. In one of its own for each (torch and the package):

    python recipe.py write PACKAGE          writes the folders beside this file
    python recipe.py check PACKAGE FOLDER   loads what `export` wrote, and compares

and, where auscult is installed:

    python recipe.py export FOLDER          writes dictionaries of every type for all packages

Or all of it at once: ``tests/reference/test_real_packages.py``.

Each case holds the package's files and ``expected.safetensors``: vectors ``x``, and the activations
and reconstructions that the writer's own code computes from them. A silent end is success.
"""

import importlib.metadata
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

VERSIONS = {"sae-lens": "6.54.12", "dictionary-learning": "0.1.0", "eai-sparsify": "1.3.3"}
DISTRIBUTIONS = {
    "saelens": "sae-lens",
    "dictionary_learning": "dictionary-learning",
    "sparsify": "eai-sparsify",
}
HERE = Path(__file__).parent
D_IN, N_FEATURES = 4, 6


def numbers(rng, *shape):
    return torch.tensor(np.round(rng.standard_normal(shape), 3), dtype=torch.float32)


def randomise(module, rng):
    """Every parameter in the order of its name; settings that are kept as tensors stay."""
    with torch.no_grad():
        for name, tensor in sorted(module.state_dict().items()):
            if name in ("k", "group_sizes"):
                continue
            values = numbers(rng, *tensor.shape)
            tensor.copy_(0.4 + values.abs() if "threshold" in name else values)


def expect(folder, module, x):
    """What the package computes, beside its files."""
    with torch.no_grad():
        acts, estimate = encoded(module, x)
    arrays = {"x": x, "acts": acts.float(), "estimate": estimate.float()}
    save_file(
        {name: tensor.contiguous() for name, tensor in arrays.items()},
        folder / "expected.safetensors",
    )


def encoded(module, x):
    """Dense activations and the reconstruction from them, whatever the package calls them."""
    found = module.encode(x)
    if isinstance(found, torch.Tensor):
        past = 0.0 if getattr(module, "W_skip", None) is None else x @ module.W_skip.T
        return found, module.decode(found) + past
    acts = torch.zeros(len(x), module.num_latents, dtype=x.dtype)
    acts.scatter_(1, found.top_indices, found.top_acts)
    estimate = module.decode(found.top_acts, found.top_indices)
    return acts, estimate if module.W_skip is None else estimate + x @ module.W_skip.mT


def write_saelens(root):
    import sae_lens

    size = {"d_in": D_IN, "d_sae": N_FEATURES}
    cases = {
        "standard": ("Standard", {}),
        "standard-plain-input": ("Standard", {"apply_b_dec_to_input": False}),
        "topk": ("TopK", {"k": 2}),
        "topk-rescaled": ("TopK", {"k": 2, "rescale_acts_by_decoder_norm": True}),
        "abstopk": ("AbsTopK", {"k": 2}),
        "jumprelu": ("JumpReLU", {}),
        "jumprelu-plain-input": ("JumpReLU", {"apply_b_dec_to_input": False}),
        "gated": ("Gated", {}),
        "gated-plain-input": ("Gated", {"apply_b_dec_to_input": False}),
    }
    for n, (name, (cls, settings)) in enumerate(cases.items()):
        rng = np.random.default_rng(n)
        cfg = getattr(sae_lens, f"{cls}SAEConfig")(**size, **settings)
        sae = getattr(sae_lens, f"{cls}SAE")(cfg)
        randomise(sae, rng)
        if name == "jumprelu":
            sae.threshold.data[:2] = torch.tensor([0.0, -0.5])
        sae.save_model(root / name)
        expect(root / name, sae_lens.SAE.load_from_disk(root / name), numbers(rng, 5, D_IN))
    for n, (name, cls) in enumerate({"transcoder": "Transcoder", "skip": "SkipTranscoder"}.items()):
        cfg = getattr(sae_lens, f"{cls}Config")(**size, d_out=3, apply_b_dec_to_input=False)
        sae = getattr(sae_lens, cls)(cfg)
        rng = np.random.default_rng(80 + n)
        randomise(sae, rng)
        sae.save_model(root / name)
        expect(root / name, sae_lens.SAE.load_from_disk(root / name), numbers(rng, 5, D_IN))
    stops = {"max_iterations": 3, "residual_threshold": 0.0, "stop_on_duplicate_support": False}
    pursuits = {
        "pursuit": stops,
        "pursuit-that-stops": {"residual_threshold": 0.5},
        "pursuit-plain-input": {**stops, "apply_b_dec_to_input": False},
    }
    for n, (name, settings) in enumerate(pursuits.items()):
        sae = sae_lens.MatchingPursuitSAE(sae_lens.MatchingPursuitSAEConfig(**size, **settings))
        rng = np.random.default_rng(90 + n)
        randomise(sae, rng)
        with torch.no_grad():
            sae.W_dec /= sae.W_dec.norm(dim=1, keepdim=True)
        sae.save_model(root / name)
        expect(root / name, sae_lens.SAE.load_from_disk(root / name), numbers(rng, 20, D_IN))
    for cls in ("BatchTopK", "MatryoshkaBatchTopK"):
        widths = {"matryoshka_widths": [2, N_FEATURES]} if cls.startswith("M") else {}
        cfg = getattr(sae_lens, f"{cls}TrainingSAEConfig")(**size, k=2, **widths)
        sae = getattr(sae_lens, f"{cls}TrainingSAE")(cfg)
        rng = np.random.default_rng(len(cls))
        randomise(sae, rng)
        folder = root / cls.lower()
        sae.save_inference_model(folder)
        expect(folder, sae_lens.SAE.load_from_disk(folder), numbers(rng, 5, D_IN))


def write_dictionary_learning(root):
    from dictionary_learning import dictionary, trainers
    from dictionary_learning.trainers.matryoshka_batch_top_k import MatryoshkaBatchTopKSAE
    from dictionary_learning.trainers.top_k import AutoEncoderTopK
    from dictionary_learning.utils import load_dictionary

    cases = {
        "autoencoder": (dictionary.AutoEncoder, {}),
        "autoencodernew": (dictionary.AutoEncoderNew, {}),
        "gated": (dictionary.GatedAutoEncoder, {}),
        "jumprelu": (dictionary.JumpReluAutoEncoder, {}),
        "topk": (AutoEncoderTopK, {"k": 2}),
        "batchtopk": (trainers.BatchTopKSAE, {"k": 2}),
        "matryoshka": (MatryoshkaBatchTopKSAE, {"k": 2, "group_sizes": [2, 4]}),
    }
    for n, (name, (cls, settings)) in enumerate(cases.items()):
        rng, folder = np.random.default_rng(20 + n), root / name
        folder.mkdir(parents=True, exist_ok=True)
        ae = cls(D_IN, N_FEATURES, **settings)
        randomise(ae, rng)
        trainer = {"dict_class": cls.__name__, "activation_dim": D_IN, "dict_size": N_FEATURES}
        trainer |= {"layer": 3, "lm_name": "some/model", "submodule_name": "encoder.3", **settings}
        (folder / "config.json").write_text(json.dumps({"trainer": trainer}, indent=1) + "\n")
        with tempfile.TemporaryDirectory() as aside:
            torch.save(ae.state_dict(), Path(aside) / "ae.pt")
            (Path(aside) / "config.json").write_bytes((folder / "config.json").read_bytes())
            loaded, _ = load_dictionary(aside, "cpu")
        state = {key: tensor.contiguous() for key, tensor in ae.state_dict().items()}
        save_file(state, folder / "ae.safetensors")
        expect(folder, loaded, numbers(rng, 5, D_IN))


def write_sparsify(root):
    os.environ["SPARSIFY_DISABLE_TRITON"] = "1"
    from sparsify import SparseCoder, SparseCoderConfig

    cases = {
        "encoder.3": {"num_latents": N_FEATURES, "k": 2},
        "square": {"num_latents": D_IN, "k": 2, "normalize_decoder": False},
        "expanded": {"expansion_factor": 2, "k": 2, "multi_topk": True},
        "transcoder": {"num_latents": N_FEATURES, "k": 2, "transcode": True},
        "skip": {"num_latents": N_FEATURES, "k": 2, "transcode": True, "skip_connection": True},
    }
    for n, (name, settings) in enumerate(cases.items()):
        rng = np.random.default_rng(40 + n)
        sae = SparseCoder(D_IN, SparseCoderConfig(**settings))
        randomise(sae, rng)
        sae.save_to_disk(root / name)
        expect(root / name, SparseCoder.load_from_disk(root / name), numbers(rng, 5, D_IN))


def load(package, folder):
    """A folder that auscult wrote, loaded by the package's own code."""
    if package == "saelens":
        from sae_lens import SAE

        return SAE.load_from_disk(folder)
    if package == "sparsify":
        os.environ["SPARSIFY_DISABLE_TRITON"] = "1"
        from sparsify import SparseCoder

        return SparseCoder.load_from_disk(folder)
    from dictionary_learning.utils import load_dictionary

    torch.save(load_file(folder / "ae.safetensors"), folder / "ae.pt")
    return load_dictionary(str(folder), "cpu")[0]


def check(package, root):
    cases = sorted((root / package).iterdir())
    assert cases, f"nothing to check in {root / package}"
    for folder in cases:
        expected = load_file(folder / "expected.safetensors")
        with torch.no_grad():
            acts, estimate = encoded(load(package, folder), expected["x"])
        assert (expected["acts"] != 0).any(), folder
        torch.testing.assert_close(acts, expected["acts"], rtol=1e-5, atol=1e-5, msg=str(folder))
        torch.testing.assert_close(
            estimate, expected["estimate"], rtol=1e-5, atol=1e-5, msg=str(folder)
        )


def export(root):
    from auscult.core.errors import StoreError
    from auscult.dictionaries.base import DICTIONARIES
    from auscult.dictionaries.exchange import convert
    from auscult.store.source import ArraySource

    rng = np.random.default_rng(60)
    values = (3.0 + 5.0 * rng.standard_normal((300, D_IN))).astype(np.float32)
    source = ArraySource(values)
    cases = [(name, name, {}) for name in DICTIONARIES.names()]
    cases += [
        ("transcoder-relu", "transcoder", {"rule": "relu"}),
        ("transcoder-relu-skip", "transcoder", {"rule": "relu", "skip": True}),
        ("transcoder-skip", "transcoder", {"skip": True}),
        ("pursuit-that-stops", "matching-pursuit", {"stop_below": 2.0, "stop_on_repeat": True}),
    ]
    for title, name, settings in cases:
        for plain in (False, True):
            section = {"type": name, "n_features": D_IN if name in ("pca", "ica") else N_FEATURES}
            section |= settings
            section |= {"centre": False, "scale": False} if plain else {}
            cls = DICTIONARIES.get(name)
            section |= {"k": 2} if "k" in cls.Params.model_fields and name != "kmeans" else {}
            section |= {"n_candidates": 8} if name == "archetypal" else {}
            _, params = DICTIONARIES.parse(section, "recipe")
            dictionary = cls.build(params, D_IN, 0, source.statistics, source.statistics)
            if dictionary.trainable:
                dictionary.prepare(source, rng)
                with torch.no_grad():
                    for parameter in dictionary.parameters():
                        parameter += 0.1 * numbers(rng, *parameter.shape)
                if hasattr(dictionary, "running"):
                    dictionary.running.threshold.fill_(0.3)
            else:
                dictionary.fit_from(source, rng)
            case = f"{title}-plain" if plain else title
            dictionary.save(root / "native" / case)
            x = torch.from_numpy(values[:40])
            for package in DISTRIBUTIONS:
                try:
                    convert(root / "native" / case, package, root / package / case)
                except StoreError as refused:
                    sys.stdout.write(f"{case}: {refused}\n")
                    continue
                with torch.no_grad():
                    acts = dictionary.encode(x)
                    arrays = {"x": x, "acts": acts, "estimate": dictionary.rebuild(x, acts)}
                save_file(arrays, root / package / case / "expected.safetensors")


def main(words):
    if words[0] == "export":
        export(Path(words[1]))
        return
    distribution = DISTRIBUTIONS[words[1]]
    found = importlib.metadata.version(distribution)
    assert found == VERSIONS[distribution], f"{distribution} is {found}"
    if words[0] == "write":
        globals()[f"write_{words[1]}"](HERE / words[1])
    else:
        check(words[1], Path(words[2]))


if __name__ == "__main__":
    main(sys.argv[1:])
