"""Adam over all parameters of a dictionary, or of several of one shape, at once."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

_ALIGNED = 16  # parameters start at multiples of 64 bytes, as memory of their own would

MOMENTS = ("exp_avg", "exp_avg_sq")


class FlatAdam:
    """Parameters in one stretch of memory, their gradients in another, one fused step over both.

    A step over many small tensors costs more in calls than in arithmetic. While dictionaries train,
    their parameters and their ``.grad`` are views; :meth:`release` gives them memory of their own
    again. Several dictionaries whose parameters have the same names and shapes lie in rows, one
    below the other; each is a member, told by its number. The slow twin is ``torch.optim.Adam``
    over the parameters one by one.

    Attributes:
        members: Parameters by name, in the order in which they lie in memory, of each dictionary.
    """

    def __init__(self, *members: Mapping[str, nn.Parameter]) -> None:
        self.members = [dict(each) for each in members]
        first = next(iter(self.members[0].values()))
        spans, end = {}, 0
        for name, parameter in self.members[0].items():
            spans[name] = (end, end + parameter.numel())
            end += -(-parameter.numel() // _ALIGNED) * _ALIGNED
        self._spans = spans
        self._flat = nn.Parameter(first.detach().new_zeros(len(members), end))
        self._flat.grad = torch.zeros_like(self._flat)
        self._own: list[dict[str, Tensor]] = []
        for of, parameters in enumerate(self.members):
            self._own.append({name: self._view(self._flat.grad, name, of) for name in parameters})
            for name, parameter in parameters.items():
                values = self._view(self._flat.data, name, of)
                parameter.data = values.copy_(parameter.data)
                parameter.grad = self._own[of][name]
        self._moments = {moment: torch.zeros_like(self._flat.data) for moment in MOMENTS}
        self._steps = self._flat.data.new_zeros((), dtype=torch.float32)

    def _view(self, flat: Tensor, name: str, of: int) -> Tensor:
        start, stop = self._spans[name]
        return flat[of, start:stop].view_as(self.members[0][name])

    def _stacked(self, flat: Tensor, name: str) -> Tensor:
        start, stop = self._spans[name]
        return flat[:, start:stop].view(len(flat), *self.members[0][name].shape)

    @property
    def values(self) -> Float[Tensor, "n_members n_numbers"]:
        """All parameters of each, end to end."""
        return self._flat.data

    def stacked(self, name: str, values: Tensor | None = None) -> Float[Tensor, "n ..."]:
        """One parameter of all of them, a view.

        Args:
            name: Of the parameter.
            values: A copy of :attr:`values` of which the view is to be.
        """
        return self._stacked(self._flat.data if values is None else values, name)

    def stacked_gradient(self, name: str) -> Float[Tensor, "n ..."]:
        """The gradient of one parameter of all of them, a view."""
        return self._stacked(self.gradient, name)

    def gather(self) -> None:
        """Take up gradients that were put into tensors of their own."""
        for parameters, views in zip(self.members, self._own, strict=True):
            for name, parameter in parameters.items():
                own, found = views[name], parameter.grad
                if found is own:
                    continue
                parameter.grad = own.zero_() if found is None else own.copy_(found)

    @property
    def gradient(self) -> Float[Tensor, "n_members n_numbers"]:
        """The gradients of each, end to end."""
        if self._flat.grad is None:
            self._flat.grad = torch.zeros_like(self._flat)
        return self._flat.grad

    def clip(self, longest: float) -> None:
        """Shorten the gradient of each to this length where it is longer."""
        lengths = torch.linalg.vector_norm(self.gradient, dim=1).tolist()
        for gradient, length in zip(self.gradient, lengths, strict=True):
            if length > longest:
                gradient.mul_(longest / length)

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

    def forget(self, name: str, rows: Tensor, of: int = 0) -> None:
        """Set the moments of some rows of a member's parameter to zero."""
        for moment in self._moments.values():
            self._view(moment, name, of)[rows] = 0.0

    def state(self, of: int = 0) -> dict[str, dict[str, Tensor]]:
        """A member's moments by kind and parameter, and the number of steps."""
        kinds: dict[str, dict[str, Tensor]] = {
            kind: {name: self._view(moment, name, of) for name in self._spans}
            for kind, moment in self._moments.items()
        }
        return kinds | {"step": {"adam": self._steps}}

    def restore(self, kinds: Mapping[str, Mapping[str, Tensor]], of: int = 0) -> None:
        """Take up what :meth:`state` gave.

        Raises:
            RuntimeError: A moment has another shape than its parameter.
        """
        for kind, moment in self._moments.items():
            for name in self._spans:
                self._view(moment, name, of).copy_(kinds[kind][name])
        self._steps.copy_(kinds["step"]["adam"])

    def release(self) -> None:
        """Give every parameter memory of its own, without a gradient; once is enough."""
        if not self._moments:
            return
        self._moments.clear()
        self._own.clear()
        self._flat.grad = None
        for parameters in self.members:
            for parameter in parameters.values():
                parameter.grad = None
                parameter.data = parameter.data.clone()
