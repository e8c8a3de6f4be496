"""Clips, silence and the choice of recordings, on a source whose sounds are written by hand."""

from fractions import Fraction

import numpy as np
import pytest

from auscult.core.audio import Audio
from auscult.core.config import Config
from auscult.core.errors import AudioError, ConfigError
from auscult.sounds.base import Recording, Skipped, SoundSource, at_most, clips, silence_mask


class Shelf(SoundSource):
    """Sounds by name; None stands for one that cannot be decoded."""

    class Params(Config):
        """Nothing to set."""

    def __init__(self, sounds):
        super().__init__(Shelf.Params(), 0)
        self.sounds = sounds

    def recordings(self):
        return [Recording(name, name) for name in sorted(self.sounds)]

    def load(self, recording, sample_rate=None):
        audio = self.sounds[recording.recording_id]
        if audio is None:
            raise AudioError(f"{recording.recording_id!r} is broken")
        return audio


def sound(n_samples, rate=1_000, n_channels=1):
    ramp = np.arange(1, n_samples + 1, dtype=np.float32) / (n_samples + 1)
    return Audio(np.tile(ramp, (n_channels, 1)), rate, source="sound")


def cut(shelf, clip_seconds=0.5, sample_rate=1_000, n_channels=1, on_skip=lambda skipped: None):
    return list(
        clips(
            shelf,
            shelf.recordings(),
            sample_rate=sample_rate,
            n_channels=n_channels,
            clip_seconds=clip_seconds,
            on_skip=on_skip,
        )
    )


def test_a_recording_is_cut_into_consecutive_clips():
    made = cut(Shelf({"a": sound(1_000)}))
    joined = np.concatenate([clip.audio.samples for clip in made], axis=1)
    np.testing.assert_array_equal(joined, sound(1_000).samples)


def test_clip_ids_are_the_recording_and_an_index():
    assert [clip.clip_id for clip in cut(Shelf({"a": sound(1_000)}))] == ["a#0", "a#1"]


def test_a_clip_knows_where_it_starts():
    last = cut(Shelf({"a": sound(1_000)}))[-1]
    assert (last.start_s, last.audio.offset_samples) == (0.5, 500)


def test_a_short_last_clip_is_padded_with_zeros():
    last = cut(Shelf({"a": sound(700)}))[-1]
    assert (last.n_valid, last.audio.n_samples) == (200, 500)
    assert np.all(last.audio.samples[:, :200] > 0)
    assert np.all(last.audio.samples[:, 200:] == 0)


def test_a_last_clip_below_a_tenth_of_a_second_is_dropped():
    assert len(cut(Shelf({"a": sound(599)}))) == 1


def test_a_last_clip_of_a_tenth_of_a_second_is_kept():
    assert len(cut(Shelf({"a": sound(600)}))) == 2


def test_clips_that_are_shorter_than_a_tenth_of_a_second_are_kept():
    assert len(cut(Shelf({"a": sound(100)}), clip_seconds=0.05)) == 2


def test_the_only_clip_is_kept_however_short():
    assert [clip.n_valid for clip in cut(Shelf({"a": sound(3)}))] == [3]


def test_without_a_length_a_recording_is_one_clip():
    made = cut(Shelf({"a": sound(1_234)}), clip_seconds=None)
    assert [(clip.n_valid, clip.audio.n_samples) for clip in made] == [(1_234, 1_234)]


def test_stereo_is_averaged_to_mono():
    stereo = Audio(np.array([[0.2] * 100, [0.4] * 100], dtype=np.float32), 1_000)
    (clip,) = cut(Shelf({"a": stereo}), clip_seconds=None)
    np.testing.assert_allclose(clip.audio.samples, np.full((1, 100), 0.3), rtol=1e-6)


def test_mono_is_copied_to_stereo():
    (clip,) = cut(Shelf({"a": sound(100)}), clip_seconds=None, n_channels=2)
    np.testing.assert_array_equal(clip.audio.samples[0], clip.audio.samples[1])


def test_a_tone_keeps_its_frequency_and_level_through_resampling():
    seconds = np.arange(44_100) / 44_100
    tone = Audio(np.sin(2 * np.pi * 1_000 * seconds, dtype=np.float32)[None], 44_100)
    (clip,) = cut(Shelf({"a": tone}), clip_seconds=None, sample_rate=16_000)
    expected = np.sin(2 * np.pi * 1_000 * np.arange(16_000) / 16_000)
    # The filter rings where the tone is cut off; 20 ms from the edges it is the tone.
    np.testing.assert_allclose(clip.audio.samples[0, 320:-320], expected[320:-320], atol=1e-3)


def test_a_broken_recording_is_told_and_the_stream_goes_on():
    skipped = []
    made = cut(Shelf({"a": None, "b": sound(500)}), on_skip=skipped.append)
    assert skipped == [Skipped("a", "is broken")]
    assert [clip.clip_id for clip in made] == ["b#0"]


def test_channels_that_cannot_be_mapped_are_told():
    skipped = []
    cut(
        Shelf({"a": sound(500), "b": sound(500, n_channels=5)}),
        n_channels=2,
        on_skip=skipped.append,
    )
    assert [skip.name for skip in skipped] == ["b"]


def test_a_sound_that_vanishes_in_resampling_is_told():
    skipped = []
    shelf = Shelf({"a": sound(1, rate=48_000), "b": sound(500)})
    cut(shelf, sample_rate=1_000, on_skip=skipped.append)
    assert [skip.name for skip in skipped] == ["a"]


def test_nothing_usable_is_an_error_that_names_the_first_reason():
    with pytest.raises(AudioError, match=r"none of 2 recordings .* 'a': is broken"):
        cut(Shelf({"a": None, "b": None}))


def test_no_recordings_at_all_is_an_error():
    with pytest.raises(AudioError, match="none of 0 recordings"):
        cut(Shelf({}))


def test_clips_without_a_sample_are_refused():
    with pytest.raises(ConfigError, match="hold no sample"):
        cut(Shelf({"a": sound(10)}), clip_seconds=0.0001)


def test_only_one_recording_is_decoded_ahead():
    loaded = []

    class Watched(Shelf):
        def load(self, recording, sample_rate=None):
            loaded.append(recording.recording_id)
            return super().load(recording, sample_rate)

    shelf = Watched({"a": sound(500), "b": sound(500)})
    stream = clips(
        shelf,
        shelf.recordings(),
        sample_rate=1_000,
        n_channels=1,
        clip_seconds=0.5,
        on_skip=lambda skipped: None,
    )
    next(stream)
    assert loaded == ["a"]


def constant_blocks(*levels, n_samples=4):
    return Audio(np.repeat(np.array(levels, dtype=np.float32), n_samples)[None], 1_000)


def test_hops_below_the_threshold_are_silent():
    # -40 dB is 0.01 of full scale.
    mask = silence_mask(constant_blocks(0.5, 0.0, 0.0101, 0.0099), 4, -40.0)
    assert mask.tolist() == [False, True, False, True]


def test_silence_beside_a_loud_hop_is_still_silence():
    assert silence_mask(constant_blocks(1.0, 1e-6), 4, -100.0).tolist() == [False, True]


def test_the_last_hop_is_judged_by_the_samples_it_has():
    assert silence_mask(Audio(np.ones((1, 5), np.float32), 1_000), 4).tolist() == [False, False]


def test_a_fractional_hop_covers_the_samples_that_begin_in_it():
    # Hops [0, 1.5), [1.5, 3), [3, 4.5) hold samples {0, 1}, {2}, {3}.
    audio = Audio(np.array([[0.0, 0.0, 1.0, 0.0]], dtype=np.float32), 1_000)
    assert silence_mask(audio, Fraction(3, 2)).tolist() == [True, False, True]


def test_a_hop_below_a_sample_asks_the_nearest_sample():
    audio = Audio(np.array([[1.0, 0.0]], dtype=np.float32), 1_000)
    assert silence_mask(audio, Fraction(1, 2)).tolist() == [False, True, True, True]


def test_channels_are_judged_together():
    audio = Audio(np.array([[0.0], [1.0]], dtype=np.float32), 1_000)
    assert silence_mask(audio, 1).tolist() == [False]


def test_a_hop_of_nothing_is_refused():
    with pytest.raises(ConfigError, match="not positive"):
        silence_mask(sound(10), 0)


def test_a_limit_draws_the_same_recordings_when_others_join():
    few = [Recording(f"{i}", f"digest {i}") for i in range(20)]
    many = few + [Recording(f"x{i}", f"other {i}") for i in range(20)]
    drawn, again = at_most(few, 10, 0), at_most(many, 10, 0)
    assert {r.digest for r in again} & {r.digest for r in few} <= {r.digest for r in drawn}


def test_a_limit_draws_by_content_and_not_by_name():
    few = [Recording(f"{i}", f"digest {i}") for i in range(20)]
    renamed = [Recording(f"{-i}", one.digest) for i, one in enumerate(few)]
    assert {r.digest for r in at_most(few, 5, 0)} == {r.digest for r in at_most(renamed, 5, 0)}


def test_a_limit_keeps_the_order():
    drawn = at_most([Recording(f"{i}", f"digest {i}") for i in range(9)], 5, 0)
    assert [r.recording_id for r in drawn] == sorted(r.recording_id for r in drawn)
