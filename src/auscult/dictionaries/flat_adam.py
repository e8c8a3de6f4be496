"""Adam over all parameters of a dictionary at once."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

_ALIGNED = 16  # parameters start at multiples of 64 bytes, as memory of their own would

MOMENTS = ("exp_avg", "exp_avg_sq")


class FlatAdam:
    """Parameters in one stretch of memory, their gradients in another, one fused step over both.

    A step over many small tensors costs more in calls than in arithmetic. While a dictionary
    trains, its parameters and their ``.grad`` are views; :meth:`release` gives them memory of their
    own again. The slow twin is ``torch.optim.Adam`` over the parameters one by one.

    Attributes:
        parameters: By name, in the order in which they lie in memory.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter]) -> None:
        self.parameters = dict(parameters)
        first = next(iter(self.parameters.values()))
        spans, end = {}, 0
        for name, parameter in self.parameters.items():
            spans[name] = (end, end + parameter.numel())
            end += -(-parameter.numel() // _ALIGNED) * _ALIGNED
        self._spans = spans
        self._flat = nn.Parameter(first.detach().new_zeros(end))
        self._flat.grad = torch.zeros_like(self._flat)
        self._own = {name: self._view(self._flat.grad, name) for name in self.parameters}
        for name, parameter in self.parameters.items():
            values = self._view(self._flat.data, name)
            parameter.data = values.copy_(parameter.data)
            parameter.grad = self._own[name]
        self._moments = {moment: torch.zeros_like(self._flat.data) for moment in MOMENTS}
        self._steps = self._flat.data.new_zeros((), dtype=torch.float32)

    def _view(self, flat: Tensor, name: str) -> Tensor:
        start, stop = self._spans[name]
        return flat[start:stop].view_as(self.parameters[name])

    def gather(self) -> None:
        """Take up gradients that were put into tensors of their own."""
        for name, parameter in self.parameters.items():
            own, found = self._own[name], parameter.grad
            if found is own:
                continue
            parameter.grad = own.zero_() if found is None else own.copy_(found)

    @property
    def gradient(self) -> Float[Tensor, " n_numbers"]:
        """The gradients, end to end."""
        if self._flat.grad is None:
            self._flat.grad = torch.zeros_like(self._flat)
        return self._flat.grad

    def clip(self, longest: float) -> None:
        """Shorten the gradient to this length where it is longer."""
        length = torch.linalg.vector_norm(self.gradient)
        if float(length) > longest:
            self.gradient.mul_(longest / length)

    def step(self, lr: float) -> None:
        """One step of Adam with moments 0.9 and 0.999.

        This is what ``torch.optim.Adam(fused=True)`` calls, without what it looks at before: that
        costs as much as the products of a small dictionary.
        """
        self._steps += 1
        mean, power = ([self._moments[moment]] for moment in MOMENTS)
        torch._fused_adam_(
            [self._flat.data], [self.gradient], mean, power, [], [self._steps], lr=lr,
            beta1=0.9, beta2=0.999, weight_decay=0.0, eps=1e-8, amsgrad=False, maximize=False,
        )  # fmt: skip

    def forget(self, name: str, rows: Tensor) -> None:
        """Set the moments of some rows of a parameter to zero."""
        for moment in self._moments.values():
            self._view(moment, name)[rows] = 0.0

    def state(self) -> dict[str, dict[str, Tensor]]:
        """Moments by kind and parameter, and the number of steps under the name of the first."""
        kinds: dict[str, dict[str, Tensor]] = {
            kind: {name: self._view(moment, name) for name in self.parameters}
            for kind, moment in self._moments.items()
        }
        return kinds | {"step": {"adam": self._steps}}

    def restore(self, kinds: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Take up what :meth:`state` gave.

        Raises:
            RuntimeError: A moment has another shape than its parameter.
        """
        for kind, moment in self._moments.items():
            for name in self.parameters:
                self._view(moment, name).copy_(kinds[kind][name])
        self._steps.copy_(kinds["step"]["adam"])

    def release(self) -> None:
        """Give every parameter memory of its own, without a gradient."""
        self._moments.clear()
        self._own.clear()
        self._flat.grad = None
        for parameter in self.parameters.values():
            parameter.grad = None
            parameter.data = parameter.data.clone()
