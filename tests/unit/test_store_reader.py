import threading

import numpy as np
import pytest

from auscult.core.errors import StoreError, UnknownNameError
from auscult.core.tensors import read_json, write_json
from auscult.store.background import prefetched
from auscult.store.precision import as_float32
from auscult.store.reader import ActivationStore
from auscult.store.sampling import Sampling
from auscult.store.shuffle import in_batches, shuffled
from auscult.store.source import ArraySource
from auscult.testing.stores import TIME, add_clips, clip_values, start_store

LENGTHS = {0: 7, 1: 4, 2: 12, 3: 1, 4: 9}


@pytest.fixture
def store(tmp_path):
    with start_store(tmp_path) as writer:
        add_clips(writer, LENGTHS)
        return writer.finish()


def everything(source):
    return source.rows(np.arange(source.n_vectors))


def test_rows_are_those_of_the_clips_one_after_another(store):
    expected = np.concatenate([clip_values(n, length, 3) for n, length in LENGTHS.items()])
    np.testing.assert_array_equal(everything(store), expected)


def test_a_vector_is_located_in_its_clip(store):
    clips, frames = store.locate(np.array([0, 6, 7, 32]))
    assert clips == ["clip-0", "clip-0", "clip-1", "clip-4"]
    np.testing.assert_array_equal(frames, [0, 6, 0, 8])


def test_the_time_base_comes_back(store):
    assert store.time == TIME


def test_an_unknown_clip_is_refused_with_the_nearest_names(store):
    with pytest.raises(UnknownNameError, match="no clip 'clip-9'; did you mean 'clip-"):
        store.clip("clip-9")


def test_a_selection_holds_the_clips_of_its_recordings(store):
    expected = np.concatenate([clip_values(0, 7, 3), clip_values(1, 4, 3), clip_values(4, 9, 3)])
    np.testing.assert_array_equal(
        everything(store.select(["recording-0", "recording-2"])), expected
    )


def test_a_selection_locates_in_the_clips_of_the_store(store):
    clips, frames = store.select(["recording-2"]).locate(np.array([0, 8]))
    assert clips == ["clip-4", "clip-4"]
    np.testing.assert_array_equal(frames, [0, 8])


def test_a_clip_that_is_not_selected_is_not_given(store):
    with pytest.raises(UnknownNameError, match="no clip 'clip-0'"):
        store.select(["recording-2"]).clip("clip-0")


def test_a_selection_of_a_selection_is_within_it(store):
    inner = store.select(["recording-0", "recording-1"]).select(clip_ids=["clip-1"])
    np.testing.assert_array_equal(everything(inner), clip_values(1, 4, 3))


def test_both_sides_of_a_split_have_digests_of_their_own(store):
    digests = {store.digest, *(store.select([f"recording-{n}"]).digest for n in range(3))}
    assert len(digests) == 4


def test_recordings_without_clips_are_passed_over(store):
    assert store.select(["recording-2", "broken.wav"]).n_vectors == 9


def test_an_empty_selection_is_refused(store):
    with pytest.raises(StoreError, match=r"nothing of .* is selected"):
        store.select(["broken.wav"])


def test_a_whole_store_verifies(store):
    store.verify()


@pytest.mark.parametrize("where", [0, 20, -1])
@pytest.mark.parametrize("bit", [1, 128])
def test_a_flipped_bit_in_any_shard_is_found(store, where, bit):
    for record in store.index.shards:
        path = store.folder / record.file
        good = path.read_bytes()
        bad = bytearray(good)
        bad[where] ^= bit
        path.write_bytes(bad)
        with pytest.raises(StoreError, match=f"{record.file} is damaged"):
            store.verify()
        path.write_bytes(good)


def test_a_flipped_bit_in_the_statistics_is_found(store):
    path = store.folder / store.index.statistics.file
    bad = bytearray(path.read_bytes())
    bad[-1] ^= 1
    path.write_bytes(bad)
    with pytest.raises(StoreError, match="is damaged"):
        _ = ActivationStore.open(store.folder).statistics


def test_a_truncated_shard_does_not_open(store):
    path = store.folder / store.index.shards[2].file
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StoreError, match=f"{path.name} has .* bytes, not"):
        ActivationStore.open(store.folder)


def test_a_missing_shard_does_not_open(store):
    path = store.folder / store.index.shards[0].file
    path.unlink()
    with pytest.raises(StoreError, match=f"{path.name} is missing"):
        ActivationStore.open(store.folder)


def test_a_header_that_lies_is_found_before_anything_is_mapped_from_it(store):
    path = store.folder / store.index.shards[0].file
    path.write_bytes(path.read_bytes().replace(b'"shape":[7,3]', b'"shape":[9,3]'))
    with pytest.raises(StoreError, match="does not lie where the header says"):
        everything(ActivationStore.open(store.folder))


def test_an_edited_index_is_refused(store):
    path = store.folder / "store.json"
    path.write_text(path.read_text().replace('"clip-1"', '"clip-x"'))
    with pytest.raises(StoreError, match="was changed after it was written"):
        ActivationStore.open(store.folder)


def test_an_index_of_a_later_version_is_refused(store):
    path = store.folder / "store.json"
    write_json(path, {**read_json(path), "version": 2})
    with pytest.raises(StoreError, match="has version 2, this auscult reads 1"):
        ActivationStore.open(store.folder)


def test_a_file_name_cannot_lead_out_of_the_folder(store):
    from dataclasses import replace

    evil = replace(store.index.shards[0], file="../../etc/passwd")
    replace(store.index, shards=(evil, *store.index.shards[1:])).write(store.folder)
    with pytest.raises(StoreError, match="is not the name of a shard"):
        ActivationStore.open(store.folder)


def test_a_folder_without_a_store_is_told(tmp_path):
    with pytest.raises(StoreError, match="is not an activation store"):
        ActivationStore.open(tmp_path)


def test_a_clip_without_stored_frames_gives_nothing(tmp_path):
    with start_store(tmp_path) as writer:
        add_clips(writer, {0: 0, 1: 3})
        store = writer.finish()
    frames, values = store.clip("clip-0")
    assert frames.shape == (0,)
    assert values.shape == (0, 3)


def test_a_shard_of_empty_clips_alone_can_be_resumed(tmp_path):
    with start_store(tmp_path) as writer:
        add_clips(writer, {0: 0})
    with start_store(tmp_path) as writer:
        add_clips(writer, {0: 0, 1: 3})
        assert writer.finish().n_vectors == 3


def test_generators_are_differences_within_a_clip(store):
    view = store.select(clip_ids=["clip-1"]).generators(2)
    values = clip_values(1, 4, 3)
    np.testing.assert_array_equal(everything(view), values[2:] - values[:2])


def test_states_and_successors_belong_to_generators(store):
    view = store.generators(3)
    indices = np.arange(view.n_vectors)
    np.testing.assert_array_equal(
        view.rows(indices), view.successors(indices) - view.states(indices)
    )


def test_a_generator_stands_where_it_starts(store):
    clips, frames = store.generators(3).locate(np.array([0, 3, 4]))
    assert clips == ["clip-0", "clip-0", "clip-1"]
    np.testing.assert_array_equal(frames, [0, 3, 0])


def test_no_generator_crosses_a_masked_gap(tmp_path):
    with start_store(tmp_path) as writer:
        writer.add(
            "clip", "r", clip_values(0, 6, 3), valid=np.array([1, 1, 0, 1, 1, 1], dtype=bool)
        )
        store = writer.finish()
    assert store.generators(1).locate(np.arange(3))[1].tolist() == [0, 3, 4]
    # Frames 1 and 3 are both stored and 2 apart, but 2 itself was masked.
    assert store.generators(2).locate(np.arange(1))[1].tolist() == [3]


def test_no_generator_crosses_clips_whose_frame_numbers_go_on(tmp_path):
    with start_store(tmp_path) as writer:
        writer.add("first", "r", clip_values(0, 3, 3))
        writer.add("next", "r", clip_values(1, 6, 3), valid=np.arange(6) >= 3)
        store = writer.finish()
    assert store.generators(1).locate(np.arange(4))[1].tolist() == [0, 1, 3, 4]
    assert store.generators(1).n_vectors == 4


def test_halves_are_converted_as_numpy_does_however_many():
    halves = np.random.default_rng(0).standard_normal((300, 400)).astype(np.float16)
    halves[0, :4] = [0.0, -0.0, 6e-8, -65504]
    converted = as_float32(halves)
    np.testing.assert_array_equal(converted, halves.astype(np.float32))
    assert np.signbit(converted[0, 1])


def test_strided_frames_have_generators_at_multiples_of_the_stride(tmp_path):
    with start_store(tmp_path, sampling=Sampling(policy="stride", stride=3)) as writer:
        add_clips(writer, {0: 30})
        store = writer.finish()
    assert store.generators(6).n_vectors == 8


@pytest.mark.parametrize("lag", [0, 2, -3])
def test_a_lag_between_strided_frames_is_refused(tmp_path, lag):
    with start_store(tmp_path, sampling=Sampling(policy="stride", stride=3)) as writer:
        add_clips(writer, {0: 30})
        store = writer.finish()
    with pytest.raises(StoreError, match=f"a lag of {lag} frames is no multiple"):
        store.generators(lag)


def test_a_lag_longer_than_every_run_is_refused(tmp_path):
    sampling = Sampling(policy="runs", frames_per_clip=4, run_frames=2)
    with start_store(tmp_path, sampling=sampling) as writer:
        add_clips(writer, {0: 400})
        store = writer.finish()
    with pytest.raises(StoreError, match=r"no generators of lag 2: .* sample longer runs"):
        store.generators(2)


def test_a_large_mean_does_not_cancel_the_variance():
    deviations = np.random.default_rng(0).standard_normal((1000, 2))
    values = (1e5 + 16 * deviations).astype(np.float32)
    expected = values.astype(np.float64).var(0)
    np.testing.assert_allclose(ArraySource(values).statistics.variance, expected, rtol=1e-12)


@pytest.mark.parametrize("drop", [False, True])
def test_the_last_batch_is_short_or_dropped(drop):
    source = ArraySource(np.ones((10, 2), np.float32))
    sizes = [len(b) for b in source.vectors(4, np.random.default_rng(0), drop_last=drop)]
    assert sizes == ([4, 4] if drop else [4, 4, 2])


def test_an_empty_batch_is_refused():
    source = ArraySource(np.ones((10, 2), np.float32))
    with pytest.raises(StoreError, match="at least 1"):
        source.vectors(0, np.random.default_rng(0))


def test_drawing_from_the_rng_meanwhile_does_not_change_the_pass(store):
    rng = np.random.default_rng(0)
    batches = store.vectors(4, rng)
    rng.standard_normal(5)
    again = store.vectors(4, np.random.default_rng(0))
    np.testing.assert_array_equal(np.concatenate(list(batches)), np.concatenate(list(again)))


def test_block_by_block_a_batch_still_comes_from_everywhere():
    n, buffer_rows = 1_000_000, 50_000
    first = next(in_batches(shuffled(n, np.random.default_rng(0), buffer_rows), 4096))
    # Of 20 equal parts of the source, each should give about 205 of 4096; five standard deviations.
    counts = np.bincount(first // (n // 20), minlength=20)
    assert np.abs(counts - 4096 / 20).max() < 5 * np.sqrt(4096 / 20)


def test_block_by_block_neighbours_are_not_kept_together():
    n, buffer_rows = 1_000_000, 50_000
    order = np.concatenate(list(shuffled(n, np.random.default_rng(0), buffer_rows)))
    # A uniform order has 2 (n - 1) / n such pairs on average; a block of 24 kept together has 23.
    assert np.count_nonzero(np.abs(np.diff(order)) == 1) < 60


def test_an_error_in_the_thread_is_raised_in_its_turn():
    def items():
        yield 1
        raise ValueError("disk gone")

    drawn = prefetched(items(), 2)
    assert next(drawn) == 1
    with pytest.raises(ValueError, match="disk gone"):
        next(drawn)


def test_the_thread_ends_when_its_consumer_does():
    closed = threading.Event()

    def items():
        try:
            while True:
                yield 1
        finally:
            closed.set()

    drawn = prefetched(items(), 2)
    next(drawn)
    drawn.close()
    assert closed.is_set()
    assert not [t for t in threading.enumerate() if t.name == "auscult-prefetch"]


def test_the_thread_stays_at_most_so_far_ahead():
    made = []

    def items():
        for i in range(100):
            made.append(i)
            yield i

    drawn = prefetched(items(), 3)
    next(drawn)
    threading.Event().wait(0.05)
    drawn.close()
    assert len(made) <= 1 + 3
