import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from auscult.store.sampling import Sampling, chosen_frames
from auscult.store.shuffle import in_batches, shuffled
from auscult.testing.stores import add_clips, clip_values, content, start_store

LENGTHS = st.lists(st.integers(0, 14), min_size=1, max_size=7).map(
    lambda x: dict(enumerate([*x, 2]))
)
SLOW = settings(max_examples=25, deadline=None)


@SLOW
@given(LENGTHS, st.lists(st.sampled_from(["close", "finish", "nothing"]), min_size=8, max_size=8))
def test_pauses_of_any_kind_change_no_byte(lengths, pauses):
    with tempfile.TemporaryDirectory() as scratch:
        once, paused = Path(scratch, "once"), Path(scratch, "paused")
        with start_store(once) as writer:
            add_clips(writer, lengths)
            writer.finish()
        writer = start_store(paused)
        for (number, length), pause in zip(lengths.items(), pauses, strict=False):
            add_clips(writer, {number: length})
            if pause == "close" or (
                pause == "finish" and not any(c.n_vectors for c in writer.clips)
            ):
                writer.close()
                writer = start_store(paused)
            elif pause == "finish":
                writer.finish()
                writer = start_store(paused)
        writer.finish()
        assert content(paused) == content(once)


@SLOW
@given(st.data(), st.integers(1, 4), st.sampled_from([1, 2]), st.booleans())
def test_generators_are_those_of_a_brute_force_twin(data, reach, stride, select):
    masks = data.draw(
        st.lists(st.lists(st.booleans(), min_size=6, max_size=25), min_size=2, max_size=5)
    )
    masks.append([True] * 12)
    sampling = Sampling(policy="stride", stride=stride) if stride > 1 else Sampling()
    lag = reach * stride
    with tempfile.TemporaryDirectory() as scratch:
        with start_store(Path(scratch), sampling=sampling, shard_vectors=30) as writer:
            for number, mask in enumerate(masks):
                values = clip_values(number, len(mask), 3)
                writer.add(f"{number}", f"r{number % 2}", values, valid=np.array(mask))
            store = writer.finish()
        if select:
            store = store.select(clip_ids=[f"{len(masks) - 1}", "0"])
        expected = []
        for clip in store.clips:
            frames, values = store.clip(clip.clip_id)
            place = {frame: row for row, frame in enumerate(frames.tolist())}
            expected += [
                values[place[frame + lag]] - values[place[frame]]
                for frame in place
                if all(between in place for between in range(frame, frame + lag + 1, stride))
            ]
        view = store.generators(lag)
        np.testing.assert_array_equal(view.rows(np.arange(view.n_vectors)), np.array(expected))


@settings(deadline=None)
@given(
    st.integers(0, 300),
    st.integers(1, 6),
    st.integers(1, 6),
    st.sampled_from(["runs", "energy"]),
    st.text(max_size=5).filter(lambda text: text.isprintable()),
)
def test_runs_are_whole_sorted_and_apart(n_frames, n_runs, length, policy, clip_id):
    sampling = Sampling(policy=policy, frames_per_clip=n_runs * length, run_frames=length)
    energy = np.linspace(0, 1, n_frames) ** 2
    frames = chosen_frames(sampling, n_frames, clip_id, 0, energy)
    assert len(frames) == min(n_frames, n_runs * length)
    assert np.all(np.diff(frames) > 0)
    assert not len(frames) or (frames[0] >= 0 and frames[-1] < n_frames)
    if n_frames > n_runs * length:
        runs = frames.reshape(n_runs, length)
        assert np.all(runs - runs[:, :1] == np.arange(length))


@settings(deadline=None)
@given(st.integers(1, 5000), st.integers(20, 3000), st.integers(3, 700), st.integers(0, 800))
def test_a_shuffled_order_is_a_permutation_less_what_is_skipped(n, buffer_rows, batch, skip):
    chunks = shuffled(n, np.random.default_rng(0), buffer_rows)
    batches = list(in_batches(chunks, batch, skip))
    assert all(len(each) == batch for each in batches[:-1])
    left = np.concatenate([np.empty(0, np.int64), *batches])
    assert len(left) == max(0, n - skip)
    whole = np.concatenate(list(shuffled(n, np.random.default_rng(0), buffer_rows)))
    np.testing.assert_array_equal(np.sort(whole), np.arange(n))
    np.testing.assert_array_equal(left, whole[skip:])
