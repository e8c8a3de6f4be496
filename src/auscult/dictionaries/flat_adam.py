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
        for name, parameter in self.parameters.items():
            values = self._view(self._flat.data, name)
            parameter.data = values.copy_(parameter.data)
            parameter.grad = self._view(self._flat.grad, name)
        self._adam = torch.optim.Adam([self._flat], fused=True)

    def _view(self, flat: Tensor, name: str) -> Tensor:
        start, stop = self._spans[name]
        return flat[start:stop].view_as(self.parameters[name])

    def gather(self) -> None:
        """Take up gradients that were put into tensors of their own."""
        for name, parameter in self.parameters.items():
            own = self._view(self.gradient, name)
            if parameter.grad is None:
                own.zero_()
            elif parameter.grad.data_ptr() != own.data_ptr():
                own.copy_(parameter.grad)
            parameter.grad = own

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
        """One step of Adam with moments 0.9 and 0.999."""
        self._adam.param_groups[0]["lr"] = lr
        self._adam.step()

    def forget(self, name: str, rows: Tensor) -> None:
        """Set the moments of some rows of a parameter to zero."""
        for moment in MOMENTS:
            state = self._adam.state[self._flat]
            if moment in state:
                self._view(state[moment], name)[rows] = 0.0

    def state(self) -> dict[str, dict[str, Tensor]]:
        """Moments by kind and parameter, and the number of steps under the name of the first."""
        state = self._adam.state[self._flat]
        kinds: dict[str, dict[str, Tensor]] = {
            moment: {name: self._view(state[moment], name) for name in self.parameters}
            for moment in MOMENTS
        }
        return kinds | {"step": {"adam": state["step"]}}

    def restore(self, kinds: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Take up what :meth:`state` gave.

        Raises:
            RuntimeError: A moment has another shape than its parameter.
        """
        state = {moment: torch.zeros_like(self._flat) for moment in MOMENTS}
        for moment in MOMENTS:
            for name in self.parameters:
                self._view(state[moment], name).copy_(kinds[moment][name])
        groups = self._adam.state_dict()["param_groups"]
        saved = {
            "state": {0: state | {"step": kinds["step"]["adam"].clone()}},
            "param_groups": groups,
        }
        self._adam.load_state_dict(saved)

    def release(self) -> None:
        """Give every parameter memory of its own, without a gradient."""
        for parameter in self.parameters.values():
            parameter.data = parameter.data.clone()
            parameter.grad = None
