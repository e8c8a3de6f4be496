import errno
import os
import subprocess
import tracemalloc

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from auscult.core.errors import RunLockedError, StoreError, WidthError
from auscult.core.timebase import TimeBase
from auscult.store.reader import ActivationStore
from auscult.store.sampling import Sampling
from auscult.testing.stores import add_clips, clip_values, content, dtype_bound, start_store

LENGTHS = {0: 7, 1: 4, 2: 12, 3: 1, 4: 9, 5: 10, 6: 0, 7: 3}


@pytest.fixture
def whole(tmp_path):
    folder = tmp_path / "whole"
    with start_store(folder) as writer:
        add_clips(writer, LENGTHS)
        writer.finish()
    return folder


def finished(folder, lengths=LENGTHS, **settings):
    with start_store(folder, **settings) as writer:
        add_clips(writer, lengths)
        return writer.finish()


def test_what_was_added_is_what_a_clip_gives(tmp_path):
    frames, values = finished(tmp_path).clip("clip-2")
    np.testing.assert_array_equal(values, clip_values(2, 12, 3))
    np.testing.assert_array_equal(frames, np.arange(12))


def test_shards_are_safetensors_that_anyone_can_read(tmp_path):
    store = finished(tmp_path)
    arrays = load_file(tmp_path / store.index.shards[0].file)
    assert {name: array.dtype.name for name, array in arrays.items()} == {
        "values": "float32",
        "frame": "int64",
        "clip": "int32",
    }
    np.testing.assert_array_equal(arrays["values"], clip_values(0, 7, 3))
    np.testing.assert_array_equal(arrays["frame"], np.arange(7))


def test_clips_are_never_split_between_shards(tmp_path):
    shards = finished(tmp_path).index.shards
    # Ten vectors to a shard: 7 | 4 | 12 (a shard of its own) | 1 + 9 | 10 + 0 | 3
    assert [(shard.n_vectors, shard.n_clips) for shard in shards] == [
        (7, 1),
        (4, 1),
        (12, 1),
        (10, 2),
        (10, 2),
        (3, 1),
    ]


def test_padded_frames_are_never_stored(tmp_path):
    values = clip_values(0, 5, 3)
    with start_store(tmp_path) as writer:
        record = writer.add("clip", "r", values, valid=np.array([1, 1, 0, 1, 0], dtype=bool))
        store = writer.finish()
    frames, stored = store.clip("clip")
    np.testing.assert_array_equal(frames, [0, 1, 3])
    np.testing.assert_array_equal(stored, values[[0, 1, 3]])
    assert (record.n_frames, record.n_vectors) == (3, 3)


def test_padding_does_not_change_which_frames_are_drawn(tmp_path):
    sampling = Sampling(policy="runs", frames_per_clip=4, run_frames=2)
    values = clip_values(0, 40, 3)
    with start_store(tmp_path / "a", sampling=sampling) as writer:
        writer.add("clip", "r", values[:30])
        bare = writer.finish().clip("clip")[0]
    with start_store(tmp_path / "b", sampling=sampling) as writer:
        writer.add("clip", "r", values, valid=np.arange(40) < 30)
        padded = writer.finish().clip("clip")[0]
    np.testing.assert_array_equal(bare, padded)


def test_a_transposed_tensor_is_stored_as_it_reads(tmp_path):
    values = torch.arange(12, dtype=torch.float32).reshape(3, 4).t()
    with start_store(tmp_path) as writer:
        writer.add("clip", "r", values)
        store = writer.finish()
    np.testing.assert_array_equal(store.clip("clip")[1], values.numpy())


def test_a_read_only_array_read_backwards_is_stored_as_it_reads(tmp_path):
    values = clip_values(0, 5, 3)
    values.flags.writeable = False
    with start_store(tmp_path) as writer:
        writer.add("clip", "r", values[::-1])
        store = writer.finish()
    np.testing.assert_array_equal(store.clip("clip")[1], values[::-1])


@pytest.mark.parametrize("sizes", [{"d_in": 0}, {"shard_vectors": 0}])
def test_a_store_of_nothing_is_refused(tmp_path, sizes):
    with pytest.raises(StoreError, match="there is no store of width"):
        start_store(tmp_path, **sizes)


def test_the_tensor_may_be_overwritten_once_add_returns(tmp_path):
    values = torch.ones(4, 3)
    with start_store(tmp_path) as writer:
        writer.add("clip", "r", values)
        values.zero_()
        store = writer.finish()
    assert np.all(store.clip("clip")[1] == 1)


def test_halves_keep_eleven_bits(tmp_path):
    store = finished(tmp_path, dtype="float16")
    exact = clip_values(2, 12, 3)
    error = np.abs(store.clip("clip-2")[1] - exact) / np.abs(exact)
    assert 0 < error.max() <= dtype_bound("float16")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_refused_by_clip(tmp_path, bad):
    values = clip_values(0, 4, 3)
    values[2, 1] = bad
    with start_store(tmp_path) as writer, pytest.raises(StoreError, match=r"'broken'.*not finite"):
        writer.add("broken", "r", values)


def test_values_too_large_for_halves_are_refused(tmp_path):
    with (
        start_store(tmp_path, dtype="float16") as writer,
        pytest.raises(StoreError, match="not finite as float16"),
    ):
        writer.add("loud", "r", np.full((2, 3), 70_000, np.float32))


def test_a_refused_clip_leaves_no_trace(tmp_path, whole):
    with start_store(tmp_path / "other") as writer:
        add_clips(writer, {0: 7})
        with pytest.raises(StoreError, match="not finite"):
            writer.add("broken", "r", np.full((9, 3), np.nan, np.float32))
        add_clips(writer, {n: length for n, length in LENGTHS.items() if n})
        writer.finish()
    assert content(tmp_path / "other") == content(whole)


def test_vectors_of_another_width_are_refused_with_both_widths(tmp_path):
    with start_store(tmp_path) as writer, pytest.raises(WidthError, match=r"\(4, 5\).*\[frame 3\]"):
        writer.add("clip", "r", clip_values(0, 4, 5))


def test_a_clip_is_added_once(tmp_path):
    with start_store(tmp_path) as writer:
        add_clips(writer, {0: 3})
        with pytest.raises(StoreError, match=r"'clip-0' is in .* already"):
            writer.add("clip-0", "r", clip_values(0, 3, 3))


@pytest.mark.parametrize(("labels", "clip_id"), [({"a": np.nan}, "c"), ({}, "\udcff")])
def test_labels_and_ids_that_json_cannot_hold_are_refused(tmp_path, labels, clip_id):
    with (
        start_store(tmp_path) as writer,
        pytest.raises(StoreError, match="cannot be written as JSON"),
    ):
        writer.add(clip_id, "r", clip_values(0, 3, 3), labels=labels)


def test_labels_come_back(tmp_path):
    labels = {"instrument": "<b>\x1b[31m", "pitch": 60, "level": -3.5, "loud": False, "who": None}
    with start_store(tmp_path) as writer:
        writer.add("clip", "r", clip_values(0, 3, 3), labels=labels)
        store = writer.finish()
    assert store.clips[0].labels == labels


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"d_in": 4}, "d_in is 4 here and 3 there"),
        ({"seed": 1}, "seed is 1 here and 0 there"),
        ({"dtype": "float16"}, "dtype is 'float16' here and 'float32' there"),
        ({"time": TimeBase(16_000)}, "time.sample_rate is 16000 here and 24000 there"),
        ({"sampling": Sampling(policy="stride", stride=2)}, "sampling.policy is 'stride' here"),
        ({"provenance": {"tap": "conv.1"}}, "provenance.tap is 'conv.1' here and 'conv.0' there"),
    ],
)
def test_a_store_is_not_continued_with_other_settings(whole, changed, told):
    with pytest.raises(StoreError, match=f"captured with other settings: {told}"):
        start_store(whole, **changed)


def test_a_folder_of_other_things_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(StoreError, match="holds other files"):
        start_store(tmp_path)


def test_a_second_writer_is_refused(tmp_path):
    with start_store(tmp_path), pytest.raises(RunLockedError, match="is being written to"):
        start_store(tmp_path)


def test_a_writer_of_another_process_is_refused(tmp_path):
    script = (
        "import fcntl, os, sys\n"
        "h = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)\n"
        "fcntl.flock(h, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [os.sys.executable, "-c", script, str(tmp_path / ".lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(RunLockedError, match="is being written to"):
            start_store(tmp_path)
        other.kill()


def test_the_folder_is_free_after_a_refusal(whole):
    with pytest.raises(StoreError, match="other settings"):
        start_store(whole, d_in=4)
    start_store(whole).close()


def test_an_unfinished_store_does_not_open(tmp_path):
    with start_store(tmp_path) as writer:
        add_clips(writer, LENGTHS)
    with pytest.raises(StoreError, match="is unfinished"):
        ActivationStore.open(tmp_path)


def test_a_store_without_vectors_is_not_finished(tmp_path):
    with start_store(tmp_path) as writer:
        writer.add("clip", "r", clip_values(0, 3, 3), valid=np.zeros(3, dtype=bool))
        with pytest.raises(StoreError, match="without vectors"):
            writer.finish()


def test_a_closed_writer_says_so(tmp_path):
    writer = start_store(tmp_path)
    writer.close()
    with pytest.raises(StoreError, match="is closed"):
        add_clips(writer, LENGTHS)


def test_an_error_in_the_block_keeps_what_was_added(tmp_path):
    def interrupted():
        with start_store(tmp_path) as writer:
            add_clips(writer, LENGTHS)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with start_store(tmp_path) as writer:
        assert writer.done == {f"clip-{number}" for number in LENGTHS}


def test_clips_are_done_only_once_they_are_on_disk(tmp_path):
    with start_store(tmp_path) as writer:
        add_clips(writer, {0: 3})
        assert writer.done == set()


def test_work_is_saved_after_a_while_though_the_shard_is_not_full(tmp_path):
    with start_store(tmp_path, save_every_s=0.0) as writer:
        add_clips(writer, {0: 3, 1: 3})
        assert "clip-0" in writer.done


@pytest.mark.parametrize("pause", range(1, len(LENGTHS)))
def test_a_store_closed_and_continued_is_byte_equal(tmp_path, whole, pause):
    folder = tmp_path / "other"
    with start_store(folder) as writer:
        add_clips(writer, dict(list(LENGTHS.items())[:pause]))
    finished(folder)
    assert content(folder) == content(whole)


@pytest.mark.parametrize("pause", range(1, len(LENGTHS)))
def test_clips_appended_to_a_finished_store_give_the_bytes_of_one_capture(tmp_path, whole, pause):
    folder = tmp_path / "other"
    finished(folder, dict(list(LENGTHS.items())[:pause]))
    finished(folder)
    assert content(folder) == content(whole)


def test_saving_after_every_clip_changes_no_byte(tmp_path, whole):
    finished(tmp_path / "other", save_every_s=0.0)
    assert content(tmp_path / "other") == content(whole)


def test_readers_keep_the_finished_store_while_clips_are_appended(tmp_path):
    before = finished(tmp_path, {0: 3, 1: 4})
    with start_store(tmp_path, save_every_s=0.0) as writer:
        add_clips(writer, LENGTHS)
    during = ActivationStore.open(tmp_path)
    during.verify()
    assert during.digest == before.digest


def test_finishing_again_changes_no_byte(tmp_path, whole):
    before = content(whole)
    finished(whole)
    assert content(whole) == before


def test_leftovers_of_a_kill_are_cleared_away(tmp_path, whole):
    before = content(whole)
    (whole / ".00007.partial").write_bytes(b"half a shard")
    finished(whole)
    assert content(whole) == before


def test_of_two_shards_of_one_number_the_fuller_counts(tmp_path):
    with start_store(tmp_path) as writer:
        add_clips(writer, {0: 3})
    (less,) = tmp_path.glob("*.safetensors")
    kept = less.read_bytes()
    with start_store(tmp_path) as writer:
        add_clips(writer, {0: 3, 1: 3})
    less.write_bytes(kept)
    with start_store(tmp_path) as writer:
        assert writer.done == {"clip-0", "clip-1"}
    assert not less.exists()


def test_a_missing_shard_is_named_by_the_writer(whole):
    name = ActivationStore.open(whole).index.shards[1].file
    (whole / name).unlink()
    with pytest.raises(StoreError, match=f"{name} is missing"):
        start_store(whole)


def test_a_disk_that_fills_is_told_and_what_was_finished_stays(tmp_path, whole, monkeypatch):
    folder = tmp_path / "other"
    with start_store(folder) as writer:
        add_clips(writer, {0: 7, 1: 4})

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("auscult.store.shard.os.fsync", full)
        with pytest.raises(StoreError, match=f"{folder} .*No space left on device"):
            finished(folder)
    with start_store(folder) as writer:
        assert writer.done == {"clip-0", "clip-1"}
    finished(folder)
    assert content(folder) == content(whole)


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "none", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("a small tmpfs can only be mounted by root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_survived(small_disk, tmp_path):
    lengths = dict.fromkeys(range(80), 250)
    folder = small_disk / "store"
    (small_disk / "ballast").write_bytes(bytes(400_000))
    with pytest.raises(StoreError, match=f"{folder} .*No space left on device"):
        finished(folder, lengths, shard_vectors=1000)
    (small_disk / "ballast").unlink()
    with start_store(folder, shard_vectors=1000) as writer:
        assert 0 < len(writer.done) < 80
        add_clips(writer, lengths)
        writer.finish().verify()
    finished(tmp_path / "other", lengths, shard_vectors=1000)
    assert content(folder) == content(tmp_path / "other")


def peak_bytes(folder, n_clips):
    values = clip_values(0, 500, 64)
    tracemalloc.start()
    with start_store(folder, d_in=64, shard_vectors=2000) as writer:
        for number in range(n_clips):
            writer.add(f"{number}", "r", values)
        writer.finish()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_is_flat_while_the_data_grow_tenfold(tmp_path):
    peak_bytes(tmp_path / "warm", 8)
    small, large = peak_bytes(tmp_path / "a", 15), peak_bytes(tmp_path / "b", 150)
    # 17 MB more are written; the table of clips grows, the vectors do not stay.
    assert large - small < 1_000_000
