"""The fit behind linear probes: multinomial logistic regression with a penalty, by L-BFGS."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor


def minimise(
    x: Float[Tensor, "n d"],
    labels: Int[np.ndarray, " n"],
    row_weights: Float[np.ndarray, " n"],
    first: Float[np.ndarray, "n_classes d_plus_1"],
    strength: float,
    n_steps: int,
) -> Float[np.ndarray, "n_classes d_plus_1"]:
    """Weights, and the bias as their last column, of least weighted cross-entropy and penalty.

    With fewer rows than columns the fit runs in the space that the rows span: the part of a weight
    across it changes no logit and only adds to the penalty, so the best has none. A row space of
    1,500 dimensions is read for the price of 1,500 columns, however wide the dictionary.

    Args:
        x: Standardised vectors.
        labels: Class of each.
        row_weights: How much each counts; on average 1.
        first: Where to begin.
        strength: The penalty is half of it times the sum of squared weights; the bias is free.
        n_steps: Most steps.
    """
    if x.shape[1] <= len(x):
        return _fitted(x, labels, row_weights, first, strength, n_steps)
    basis, upper = torch.linalg.qr(x.T)
    turn = basis.numpy()
    found = _fitted(
        upper.T.contiguous(), labels, row_weights, _turned(first, turn), strength, n_steps
    )
    return _turned(found, turn.T)


def _turned(
    parameters: Float[np.ndarray, "n_classes a_plus_1"], basis: Float[np.ndarray, "a b"]
) -> Float[np.ndarray, "n_classes b_plus_1"]:
    """Weights in the coordinates of an orthonormal basis; the bias stays."""
    return np.concatenate([parameters[:, :-1] @ basis, parameters[:, -1:]], axis=1)


def _fitted(
    x: Tensor,
    labels: np.ndarray,
    row_weights: np.ndarray,
    first: np.ndarray,
    strength: float,
    n_steps: int,
) -> Float[np.ndarray, "n_classes d_plus_1"]:
    """L-BFGS in float64 over a loss whose matrix products are taken in float32."""
    from scipy.optimize import minimize

    d = x.shape[1]
    truth = torch.from_numpy(labels.astype(np.int64))
    weight = torch.from_numpy(row_weights.astype(np.float32)) / len(labels)

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        parameters = flat.reshape(first.shape)
        w = torch.from_numpy(parameters[:, :d].astype(np.float32))
        logits = torch.addmm(
            torch.from_numpy(parameters[:, d].astype(np.float32)), x, w.T.contiguous()
        )
        log_p = torch.log_softmax(logits, dim=1)
        picked = log_p.gather(1, truth[:, None])[:, 0]
        value = -float((picked.double() * weight.double()).sum())
        slope = log_p.exp_()
        slope.scatter_add_(1, truth[:, None], torch.full((len(truth), 1), -1.0))
        slope *= weight[:, None]
        gradient = np.empty(first.shape)
        gradient[:, :d] = (slope.T @ x).numpy() + strength * parameters[:, :d]
        gradient[:, d] = slope.sum(dim=0, dtype=torch.float64).numpy()
        value += strength / 2 * float(np.square(parameters[:, :d]).sum())
        return value, gradient.ravel()

    options = {"maxiter": n_steps, "gtol": 1e-5, "ftol": 1e-9, "maxcor": 10}
    found = minimize(loss, first.ravel(), jac=True, method="L-BFGS-B", options=options)
    return np.asarray(found.x).reshape(first.shape)
