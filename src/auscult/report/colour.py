"""Colour maps as tables of 256 colours, made here from formulas and a few control points.

Sequential: magma (Smith and van der Walt 2015). Diverging: the cool-warm map of Moreland,
"Diverging Color Maps for Scientific Visualization" (2009), computed in his Msh space. Cyclic:
twilight (Bechtold), dark at both ends. Boolean: white to black.
"""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

import numpy as np

_MAGMA = (
    "000004 0a0822 1d1146 36106a 50127c 691c81 822681 9c2e7f b63779 "
    "cf4170 e65163 f5695c fb8761 fea571 fec387 fde0a2 fcfdbf"
)
_TWILIGHT_SHIFTED = (
    "2f1437 45135c 592a8f 5e51ad 6275ba 7297c1 94b4c7 c3ced4 e2d9e2 "
    "d8c6bd cca388 c27c62 b25652 983550 741e4f 4b1342 2f1437"
)
_COOL = (59, 76, 192)
_WARM = (180, 4, 38)
_WHITE = 88.0  # M of the neutral middle
_TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
_D65 = np.array([0.95047, 1.0, 1.08883])


@cache
def tables() -> Mapping[str, np.ndarray]:
    """The maps by the names that blocks use; each is ``[256 3]`` of 8-bit red, green, blue."""
    grey = np.repeat(np.arange(255, -1, -1, dtype=np.uint8)[:, None], 3, axis=1)
    return MappingProxyType(
        {
            "sequential": _through(_MAGMA),
            "diverging": _cool_warm(),
            "cyclic": _through(_TWILIGHT_SHIFTED),
            "boolean": grey,
        }
    )


def _through(points: str) -> np.ndarray:
    """A smooth table through equally spaced colours."""
    from scipy.interpolate import PchipInterpolator

    colours = np.array(
        [[int(one[i : i + 2], 16) for i in (0, 2, 4)] for one in points.split()], dtype=float
    )
    place = np.linspace(0.0, 1.0, len(colours))
    smooth = PchipInterpolator(place, colours)(np.linspace(0.0, 1.0, 256))
    return np.asarray(np.clip(np.round(smooth), 0, 255), dtype=np.uint8)


def _cool_warm() -> np.ndarray:
    """Moreland (2009), section 5: from each end to white through Msh, with spun hues."""
    cool, warm = (_to_msh(np.array(end, dtype=float)) for end in (_COOL, _WARM))
    rows = []
    for share in np.linspace(0.0, 1.0, 256):
        end, part = (cool, 2 * share) if share < 0.5 else (warm, 2 - 2 * share)
        middle = np.array([_WHITE, 0.0, _spun_hue(end)])
        rows.append(_to_rgb((1 - part) * end + part * middle))
    return np.clip(np.round(np.array(rows)), 0, 255).astype(np.uint8)


def _spun_hue(end: np.ndarray) -> float:
    """Hue that an end takes when it arrives at the neutral middle (Moreland's ``AdjustHue``)."""
    m, s, hue = end
    if m >= _WHITE:
        return float(hue)
    spin = s * np.sqrt(_WHITE**2 - m**2) / (m * np.sin(s))
    return float(hue + spin if hue > -np.pi / 3 else hue - spin)


def _to_msh(rgb: np.ndarray) -> np.ndarray:
    share = rgb / 255
    linear = np.where(share > 0.04045, ((share + 0.055) / 1.055) ** 2.4, share / 12.92)
    f = _lab_curve(_TO_XYZ @ linear / _D65)
    lab = np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])
    m = np.linalg.norm(lab)
    return np.array([m, np.arccos(lab[0] / m), np.arctan2(lab[2], lab[1])])


def _to_rgb(msh: np.ndarray) -> np.ndarray:
    m, s, hue = msh
    lightness, a, b = m * np.cos(s), m * np.sin(s) * np.cos(hue), m * np.sin(s) * np.sin(hue)
    y = (lightness + 16) / 116
    f = np.array([y + a / 500, y, y - b / 200])
    xyz = np.where(f > 6 / 29, f**3, (f - 16 / 116) * 3 * (6 / 29) ** 2) * _D65
    linear = np.clip(np.linalg.solve(_TO_XYZ, xyz), 0, 1)
    return 255 * np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)


def _lab_curve(t: np.ndarray) -> np.ndarray:
    return np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 16 / 116)
