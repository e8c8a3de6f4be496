"""overcomplete: ``train_sae`` over batches.

Its error is a mean over elements and its L1 a sum over the batch, so the penalty is rescaled; the
k of its BatchTopK counts the whole batch.
"""

import torch

if "+cpu" in torch.__version__:
    # torchvision from the registry does not load beside a CPU build unless its operators exist.
    library = torch.library.Library("torchvision", "DEF")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import matplotlib
import matplotlib.cm

if not hasattr(matplotlib.cm, "get_cmap"):
    matplotlib.cm.get_cmap = lambda name=None, lut=None: matplotlib.colormaps[name]

from overcomplete.sae import SAE, BatchTopKSAE, TopKSAE
from overcomplete.sae.losses import mse_l1
from overcomplete.sae.train import train_sae
from turns import BATCH, compete


def error_alone(x, estimate, pre, acts, atoms):
    return (x - estimate).square().mean()


def train(asked, batches):
    d, m = asked["d"], asked["m"]
    criterion = error_alone
    if asked["kind"] == "relu":
        sae = SAE(d, m)
        penalty = asked["l1"] / (d * BATCH)

        def criterion(*given):
            return mse_l1(*given, penalty=penalty)
    elif asked["kind"] == "topk":
        sae = TopKSAE(d, m, top_k=asked["k"])
    else:
        sae = BatchTopKSAE(d, m, top_k=asked["k"] * BATCH)
    adam = torch.optim.Adam(sae.parameters(), lr=asked["lr"])
    train_sae(sae, batches, criterion, adam, nb_epochs=1, clip_grad=1.0, monitoring=0, device="cpu")
    sae.eval()
    return (lambda x: sae.encode(x)[1]), sae.decode


compete(train)
