"""Read and edit activations while a model runs.

Afterwards the model is what it was, bit for bit.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from auscult.core.errors import TapError, WidthError
from auscult.core.responses import Responses
from auscult.core.timebase import TimeBase
from auscult.models.base import AudioModel
from auscult.taps.hooks import StopPass, attach
from auscult.taps.layout import (
    by_clip,
    from_frames,
    joined,
    layout_of,
    to_frames,
    unfolded_view,
    with_plain_gradient,
)
from auscult.taps.point import ResolvedTap, TapPoint, resolve
from auscult.taps.probe import Measured, timing
from auscult.taps.session import Session, check_survey

OnFire = Callable[[str, Responses], None]
EditFunction = Callable[[Shaped[Tensor, "batch frame d_in"], TimeBase], Tensor]


class Captured(Mapping[str, Responses]):
    """What was captured, by address; of several passes the last."""

    def __init__(self, taps: Iterable[ResolvedTap]) -> None:
        self._responses: dict[str, Responses] = {}
        self._addresses = [tap.address for tap in taps]

    def put(self, address: str, responses: Responses) -> None:
        """Keep what a tap said."""
        self._responses[address] = responses

    def __getitem__(self, address: str) -> Responses:
        canonical = str(TapPoint.parse(address))
        if canonical not in self._responses:
            state = "has not fired yet" if canonical in self._addresses else "is not captured here"
            raise TapError(f"{address} {state}")
        return self._responses[canonical]

    def __contains__(self, address: object) -> bool:
        return isinstance(address, str) and str(TapPoint.parse(address)) in self._responses

    def __iter__(self) -> Iterator[str]:
        return iter(self._responses)

    def __len__(self) -> int:
        return len(self._responses)


@contextmanager
def capture(
    model: AudioModel,
    taps: Iterable[str | TapPoint],
    *,
    stop: bool = False,
    on_fire: OnFire | None = None,
    detach: bool = True,
) -> Iterator[Captured]:
    """Copy what taps say while ``model.forward`` runs in the block.

    Args:
        model: The model.
        taps: Addresses or globs; a module that is called several times needs ``@0``, ``@1``, … or
            ``@*``.
        stop: End each pass after the last tap; ``model.forward`` then returns None.
        on_fire: Gets ``(address, responses)`` as soon as a tap has said all that is asked of it;
            nothing is then kept, so that memory stays flat over any number of passes.
        detach: Cut the copies off from the gradient; False keeps them attached when gradients are
            on.

    Yields:
        Responses by address: own float32 copies ``[batch frame d_in]`` (int64 at ``codes``).

    Raises:
        SilentTapError: A tap did not fire.
        TapError: An address is ambiguous, or a tensor cannot be read as frames or holds no numbers.
    """
    resolved = resolve(model, taps)
    if stop:
        check_survey(model, resolved)
    times = {tap.address: timing(model, tap) for tap in resolved}
    captured = Captured(resolved)
    recorder = _Recorder(
        Session(model, resolved, stop), times, captured.put if on_fire is None else on_fire, detach
    )
    with ExitStack() as stack:
        recorder.session.open(stack, recorder.forget, recorder.hand_over_rest)
        for tap in resolved:
            attach(stack, model, tap, recorder.looker(tap))
        with suppress(StopPass):
            yield captured
        recorder.hand_over_rest()
        recorder.session.check()


class _Recorder:
    """Copies what is meant, joins the calls of ``@*``, and hands over."""

    def __init__(
        self, session: Session, times: Mapping[str, Measured], hand_to: OnFire, detach: bool
    ) -> None:
        self.session = session
        self.times = times
        self.hand_to = hand_to
        self.detach = detach
        self.waiting: dict[str, list[Tensor]] = {}

    def looker(self, tap: ResolvedTap) -> Callable[[Tensor], None]:
        """What is called whenever a tap fires."""
        measured = self.times[tap.address]

        def see(tensor: Tensor) -> None:
            if not self.session.is_meant(tap):
                return
            copied = _copied(tap, tensor, self.session, measured, self.detach)
            if tap.point.call == "*":
                self.waiting.setdefault(tap.address, []).append(copied)
            else:
                here = measured.within(self.session.n_samples)
                self.hand_to(tap.address, Responses(copied, here))
            self.session.stop_if_done()

        return see

    def hand_over_rest(self) -> None:
        """Join the calls that came, frames one behind another."""
        for address, parts in self.waiting.items():
            self.hand_to(address, Responses(joined(address, parts), self.times[address].time))
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.waiting = {}


def run_capture(
    model: AudioModel,
    waveform: Float[Tensor, "batch channel time"],
    taps: Iterable[str | TapPoint],
) -> dict[str, Responses]:
    """Run a batch without gradients as far as the last tap needs it; return what the taps said.

    Raises:
        TapError: As :func:`capture`.
    """
    with torch.no_grad(), capture(model, taps, stop=True) as captured:
        model.forward(waveform)
    return dict(captured)


@contextmanager
def intervene(model: AudioModel, edits: Mapping[str | TapPoint, EditFunction]) -> Iterator[None]:
    """Change what taps say while the model runs in the block.

    A capture inside sees the changed values.

    An edit gets ``(values [batch frame d_in], time)``, an own copy of what the tap says, and
    returns values of the same shape. They go back into whatever structure the module passed (a
    tuple, a model output). A glob applies its edit at each tap it names; ``@*`` at each call.

    Raises:
        WidthError: An edit returned vectors of another width.
        SilentTapError: An edited tap did not fire: nothing was changed.
        TapError: An address is ambiguous, or a place can be read only.
    """
    pairs = [(tap, edit) for key, edit in edits.items() for tap in resolve(model, [key])]
    resolved = [tap for tap, _ in pairs]
    check_survey(model, resolved)
    for tap in resolved:
        method = tap.tap.methods.get(tap.point.side)
        if method is not None and method.pick is not None:
            raise TapError(f"{tap.address} can be read but not edited")
    times = {tap.address: timing(model, tap) for tap in resolved}
    session = Session(model, resolved)

    def changer(tap: ResolvedTap, edit: EditFunction) -> Callable[[Tensor], Tensor | None]:
        def see(tensor: Tensor) -> Tensor | None:
            if not session.is_meant(tap):
                return None
            return _edited(tap, tensor, session, times[tap.address], edit)

        return see

    with ExitStack() as stack:
        session.open(stack)
        for tap, edit in pairs:
            attach(stack, model, tap, changer(tap, edit))
        yield
        session.check()


def _edited(
    tap: ResolvedTap,
    tensor: Tensor,
    session: Session,
    measured: Measured,
    edit: EditFunction,
) -> Tensor:
    layout = layout_of(session.model, tap, tensor)
    frames = to_frames(with_plain_gradient(tensor), layout)
    n_clips = _n_clips(tap, len(frames), session.n_clips, measured)
    values = by_clip(frames.clone(), n_clips)
    new = edit(values, measured.within(session.n_samples))
    if not isinstance(new, Tensor):
        raise TapError(f"the edit at {tap.address} returned a {type(new).__name__}, not a tensor")
    if new.ndim == 3 and new.shape[:2] == values.shape[:2] and new.shape[2] != values.shape[2]:
        raise WidthError(
            f"the edit at {tap.address} returned vectors of width {new.shape[2]}, the tap's are of "
            f"width {values.shape[2]}"
        )
    if new.shape != values.shape:
        raise TapError(
            f"the edit at {tap.address} returned the shape {list(new.shape)} for "
            f"{list(values.shape)} [batch frame d_in]"
        )
    return from_frames(new.to(tensor.dtype).reshape(frames.shape), tensor, layout).contiguous()


def _n_clips(tap: ResolvedTap, n_items: int, n_clips: int | None, measured: Measured) -> int:
    """The number of clips among items, which are more when frames are folded into the batch.

    Raises:
        TapError: More items than the time base was proven for.
    """
    if n_clips is None:
        if measured.folded:
            raise TapError(
                f"{tap.address} holds frames in its batch axis: run model.forward() itself"
            )
        return n_items
    if n_items == n_clips:
        return n_clips
    if n_items % n_clips or not measured.folded:
        raise TapError(
            f"{tap.address} has {n_items} items for {n_clips} clips, and no proven place in time "
            f"for them; cut the clips to the length that the network takes at once"
        )
    return n_clips


def _copied(
    tap: ResolvedTap,
    tensor: Tensor,
    session: Session,
    measured: Measured,
    detach: bool,
) -> Shaped[Tensor, "batch frame d_in"]:
    """Copy once, transposing on the way, and refuse values that are not numbers."""
    layout = layout_of(session.model, tap, tensor)
    view = unfolded_view(tensor, layout)
    n_clips = _n_clips(tap, len(view), session.n_clips, measured)
    if detach or not torch.is_grad_enabled():
        dtype = torch.float32 if tensor.is_floating_point() else torch.int64
        # Tensors made under inference_mode could never be trained on.
        with torch.inference_mode(False), torch.no_grad():
            own = torch.empty(view.shape, dtype=dtype, device=tensor.device).copy_(view)
            values = by_clip(own.flatten(2), n_clips)
    else:
        plain = unfolded_view(with_plain_gradient(tensor), layout)
        own = plain.clone(memory_format=torch.contiguous_format)
        values = by_clip(own.flatten(2), n_clips)
    # One reduction costs less than a mask; a sum may overflow where no value does, so look again.
    if not torch.isfinite(values.sum()) and not torch.isfinite(values).all():
        raise TapError(f"{tap.address} said values that are not finite numbers")
    return values
