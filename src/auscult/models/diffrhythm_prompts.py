"""What DiffRhythm is told: a style as a vector of 512, lyrics as phonemes at their frames."""

import importlib
import os
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from auscult.core.errors import ConfigError, MissingExtraError, UserError
from auscult.models.generation import Prompt
from auscult.models.loading import import_path

D_STYLE = 512
_COMMA, _FULL_STOP = 1, 2
_RATE, _HOP = 44_100, 2_048
_WISHES = ("lyrics", "style")


@dataclass(frozen=True)
class Asked:
    """What the network is given for a batch of prompts.

    Attributes:
        style: A vector of each prompt; zeros where it asks for none.
        lyrics: A phoneme for each frame; zeros where nothing is sung.
    """

    style: Float[Tensor, "prompt 512"]
    lyrics: Int[Tensor, "prompt frame"]


class Reader:
    """Reads prompts with what the user has installed: MuQ-MuLan for words, the checkout's phonemes.

    Args:
        checkout: Folder of DiffRhythm's code.
        muq: Hub name or folder of MuQ-MuLan, which turns words into a style.
        n_frames: Frames of the result.
        max_frames: Most that the network makes.
    """

    def __init__(self, checkout: str, muq: str, n_frames: int, max_frames: int) -> None:
        self.folder = Path(checkout).expanduser().resolve()
        self.muq = muq
        self.n_frames = n_frames
        self.max_frames = max_frames

    def read(self, prompts: Sequence[Prompt]) -> Asked:
        """Style and lyrics of each prompt.

        Raises:
            ConfigError: A wish that it does not know, or a style that is no vector of 512.
            MissingExtraError: A style in words without MuQ-MuLan.
            UserError: Lyrics without what the checkout needs to read them.
        """
        styles, lyrics = [], []
        for prompt in prompts:
            unknown = sorted(set(prompt.wishes) - set(_WISHES))
            if unknown:
                raise ConfigError(
                    f"DiffRhythm takes {' and '.join(_WISHES)} beside words, and no "
                    f"{', '.join(unknown)}"
                )
            styles.append(self._style(prompt))
            lyrics.append(self._lyrics(str(prompt.wishes.get("lyrics", ""))))
        return Asked(torch.stack(styles), torch.stack(lyrics))

    def _style(self, prompt: Prompt) -> Tensor:
        file = prompt.wishes.get("style")
        if file is not None and prompt.text:
            raise ConfigError(f"prompt {prompt.name!r} has a style and words for one: give either")
        if file is not None:
            return read_style(str(file))
        if not prompt.text:
            return torch.zeros(D_STYLE)
        with torch.no_grad():
            said: Tensor = self._mulan(texts=prompt.text)
        return said.float().reshape(-1)[:D_STYLE]

    @cached_property
    def _mulan(self) -> Any:
        try:
            muq = importlib.import_module("muq")
        except ImportError as error:
            raise MissingExtraError(
                "a style in words (give wishes = { style = 'vector.npy' } instead)", "muq", "muq"
            ) from error
        return muq.MuQMuLan.from_pretrained(self.muq).eval()

    def _lyrics(self, text: str) -> Tensor:
        """Phonemes from the frame of each line's time on, as the published code places them.

        A line ends with a full stop, within it full stops are commas; one that is still sung when
        the next begins moves that back. The short model leaves out the last line.
        """
        lines = lines_of(text)
        lines = [(at, words) for at, words in lines if at < self.n_frames * _HOP / _RATE]
        if self.max_frames == _HOP and lines:
            lines = lines[:-1]
        placed = torch.zeros(self.n_frames, dtype=torch.long)
        end = 0
        for at, words in lines:
            phonemes = [_COMMA if one == _FULL_STOP else one for one in self._phonemes(words)]
            start = max(int(at * _RATE / _HOP), end)
            sung = torch.tensor([*phonemes, _FULL_STOP])[: self.n_frames - start]
            placed[start : start + len(sung)] = sung
            end = start + len(sung)
        return placed

    @cached_property
    def _phonemes(self) -> Callable[[str], list[int]]:
        with import_path(self.folder), _working_in(self.folder):
            try:
                read = importlib.import_module("g2p.g2p_generation").chn_eng_g2p
            except Exception as error:
                said = f"{type(error).__name__}: {error}"
                raise UserError(
                    f"lyrics need the checkout's phonemes, which cannot be imported ({said}): "
                    f"install its requirements.txt"
                ) from error

        def phonemes(words: str) -> list[int]:
            with import_path(self.folder), _working_in(self.folder):
                return [int(token) + 1 for token in read(words)[1]]

        return phonemes


def lines_of(text: str) -> list[tuple[float, str]]:
    """Seconds and words of each line ``[mm:ss.xx]words``; a line without a time is left out.

    >>> lines_of("[00:10.50]first" + chr(10) + "second" + chr(10) + "[01:00.00]third")
    [(10.5, 'first'), (60.0, 'third')]
    """
    found = []
    for line in text.strip().splitlines():
        minutes, _, seconds = line[1:9].partition(":")
        try:
            at = 60 * int(minutes) + float(seconds)
        except ValueError:
            continue
        found.append((at, line[10:].strip()))
    return found


def read_style(file: str) -> Float[Tensor, "512"]:
    """A vector of 512 from a ``.npy`` file.

    Raises:
        ConfigError: It cannot be read, or is something else.
    """
    try:
        vector = np.load(Path(file).expanduser(), allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ConfigError(f"the style {file} cannot be read ({error})") from error
    if vector.size != D_STYLE:
        raise ConfigError(f"the style {file} has {vector.size} numbers and not {D_STYLE}")
    return torch.from_numpy(vector.astype(np.float32)).reshape(-1)


@contextmanager
def _working_in(folder: Path) -> Any:
    """The checkout opens files relative to its own folder."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def unconditional_style(checkout: str, told: str | None) -> Float[Tensor, "512"]:
    """What the unconditional rows hear in place of a style: the published code's, or nothing.

    Raises:
        ConfigError: A file that is no vector of 512.
    """
    published = Path(checkout).expanduser() / "infer" / "example" / "vocal.npy"
    if told is None:
        return read_style(str(published)) if published.is_file() else torch.zeros(D_STYLE)
    return torch.zeros(D_STYLE) if told == "" else read_style(told)
