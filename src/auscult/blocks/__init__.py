"""What a result can show: plain data that knows its units. No torch, no HTML.

An analysis returns blocks, the run folder keeps them (``blocks.json`` beside
``blocks.safetensors``), the report turns them into pages. Arrays are NumPy; a sound is referred to
by clip and seconds and its samples lie once in the run's ``clips`` folder.
"""

from auscult.blocks.axes import Axis, ColourMap, Scale
from auscult.blocks.files import clips_in, load_blocks, save_blocks
from auscult.blocks.kinds import (
    Bars,
    Block,
    Curve,
    Finding,
    Gallery,
    GalleryItem,
    Graph,
    Heatmap,
    Histogram,
    Missing,
    Ruler,
    Rulers,
    Scatter,
    Series,
    SmallMultiples,
    Table,
    Text,
    Verdict,
)
from auscult.blocks.sounding import Animation, Choice, Choices, Clip, ClipGrid, Lanes

__all__ = [
    "Animation",
    "Axis",
    "Bars",
    "Block",
    "Choice",
    "Choices",
    "Clip",
    "ClipGrid",
    "ColourMap",
    "Curve",
    "Finding",
    "Gallery",
    "GalleryItem",
    "Graph",
    "Heatmap",
    "Histogram",
    "Lanes",
    "Missing",
    "Ruler",
    "Rulers",
    "Scale",
    "Scatter",
    "Series",
    "SmallMultiples",
    "Table",
    "Text",
    "Verdict",
    "clips_in",
    "load_blocks",
    "save_blocks",
]
