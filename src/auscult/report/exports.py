"""Everything of a page that has a place in time, as annotation files beside it."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from auscult.blocks import Clip, ClipGrid, Lanes
from auscult.core.manifest import package_version
from auscult.report.annotations import (
    Region,
    Track,
    active_regions,
    audacity_labels,
    cell,
    jams,
    sonic_visualiser_regions,
    sonic_visualiser_values,
    table,
)
from auscult.report.media import Sound, SoundLibrary
from auscult.report.text import file_stem

_MOST_LANE_FILES = 2000
_MOST_LANES_OF_A_BLOCK = 64


@dataclass(frozen=True)
class Link:
    """A file to download: what it is, and where it lies relative to the pages."""

    label: str
    href: str


@dataclass(frozen=True)
class SoundExports:
    """The annotation files of one clip."""

    name: str
    audio: Link
    links: tuple[Link, ...]


@dataclass
class _Annotations:
    regions: list[Region] = field(default_factory=list)
    tracks: list[Track] = field(default_factory=list)


class Exporter:
    """Gathers the fragments and lanes of one page, writes lanes at once and the rest at the end."""

    def __init__(
        self, page: str, library: SoundLibrary, write: Callable[[str, bytes], None]
    ) -> None:
        self._page = page
        self._library = library
        self._write = write
        self._of_clip: dict[str, _Annotations] = {}
        self._rows: list[tuple[str, ...]] = []
        self._names: set[str] = set()
        self._n_lane_files = 0
        self._n_left_out = 0

    @property
    def n_left_out(self) -> int:
        """Lane files that were not written because there are too many."""
        return self._n_left_out

    def take(
        self, block: object, owner: str = "", band_hz: tuple[float, float] | None = None
    ) -> list[Link]:
        """Remember a block's fragments and write its lanes; the links belong beside the block.

        Args:
            block: Any block; those without a place in time leave nothing.
            owner: The gallery item that it belongs to.
            band_hz: The frequencies that the item is about, if known.
        """
        if isinstance(block, Clip):
            self._fragment(block, owner, band_hz)
        elif isinstance(block, ClipGrid):
            for clip in block.clips:
                self._fragment(clip, owner, band_hz)
        elif isinstance(block, Lanes):
            return self._lanes(block, owner)
        return []

    def _fragment(self, clip: Clip, owner: str, band_hz: tuple[float, float] | None) -> None:
        sound = self._library.find(clip.clip_id)
        if sound is None:
            return
        start, stop = clip.mark_s or (clip.start_s, clip.stop_s)
        label = clip.label if not owner or owner in clip.label else f"{owner}: {clip.label}"
        self._annotations(clip.clip_id).regions.append(Region(start, stop, label, None, band_hz))
        times = (start, stop, (start + stop) / 2)
        self._rows.append(
            (
                cell(sound.label),
                *(f"{time:.6f}" for time in times),
                cell(label),
                "",
                "",
                cell(self._page),
            )
        )

    def _lanes(self, block: Lanes, owner: str) -> list[Link]:
        sound = self._library.find(block.clip.clip_id)
        if sound is None or block.values.shape != (len(block.lanes), len(block.times_s)):
            return []
        unit = block.value_axis.unit
        tracks = [
            Track(
                name if not owner or owner in name else f"{owner}, {name}",
                unit,
                block.times_s,
                values,
            )
            for name, values in zip(block.lanes, block.values, strict=True)
        ]
        self._n_left_out += max(0, len(tracks) - _MOST_LANES_OF_A_BLOCK)
        tracks = tracks[:_MOST_LANES_OF_A_BLOCK]
        self._annotations(block.clip.clip_id).tracks.extend(tracks)
        links = []
        stem = self._stem(f"{owner or block.title}-{sound.label}")
        if block.colour_map == "sequential":
            active = [region for track in tracks for region in active_regions(track)]
            labels = audacity_labels(sorted(active, key=lambda one: one.start_s))
            links += self._lane_file(f"{stem}.labels.txt", "Audacity labels", labels)
        for count, track in enumerate(tracks, 1):
            which = f" {count}" if len(tracks) > 1 else ""
            name = f"{stem}{which.replace(' ', '-')}.values.csv"
            links += self._lane_file(
                name, f"Sonic Visualiser CSV{which}", sonic_visualiser_values(track)
            )
        return links

    def _lane_file(self, name: str, label: str, text: str) -> list[Link]:
        if self._n_lane_files >= _MOST_LANE_FILES:
            self._n_left_out += 1
            return []
        self._n_lane_files += 1
        return [self._file(f"lanes/{name}", label, text)]

    def finish(self) -> list[SoundExports]:
        """Write the files of each clip, and one table of all fragments."""
        if self._rows:
            head = (
                "clip",
                "start_s",
                "end_s",
                "centre_s",
                "label",
                "value",
                "confidence",
                "source",
            )
            self._file("fragments.csv", "All fragments (CSV)", table([head, *self._rows]))
        done = [
            self._of_sound(sound, told)
            for clip_id, told in self._of_clip.items()
            if (sound := self._library.find(clip_id)) is not None
        ]
        return sorted(done, key=lambda one: one.name)

    def _of_sound(self, sound: Sound, told: _Annotations) -> SoundExports:
        regions = sorted(told.regions, key=lambda one: (one.start_s, one.stop_s, one.label))
        stem = self._stem(sound.label)
        links = []
        if regions:
            links.append(
                self._file(f"{stem}.labels.txt", "Audacity labels", audacity_labels(regions))
            )
            links.append(
                self._file(
                    f"{stem}.regions.csv", "Sonic Visualiser CSV", sonic_visualiser_regions(regions)
                )
            )
        source = f"auscult {package_version('auscult')}"
        document = jams(sound.label, sound.duration_s, regions, told.tracks, source)
        text = json.dumps(document, ensure_ascii=False, allow_nan=False)
        links.append(self._file(f"{stem}.jams", "JAMS", text))
        return SoundExports(sound.label, Link("MP3", f"clips/{sound.stem}.mp3"), tuple(links))

    def fragments(self) -> Link | None:
        """The table of all fragments, if there are any."""
        return (
            Link("All fragments (CSV)", f"exports/{self._page}/fragments.csv")
            if self._rows
            else None
        )

    def _file(self, name: str, label: str, text: str) -> Link:
        href = f"exports/{self._page}/{name}"
        self._write(href, text.encode())
        return Link(label, href)

    def _stem(self, name: str) -> str:
        stem = file_stem(name, self._names)
        self._names.add(stem)
        return stem

    def _annotations(self, clip_id: str) -> _Annotations:
        return self._of_clip.setdefault(clip_id, _Annotations())
