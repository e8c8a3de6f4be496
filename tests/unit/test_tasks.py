"""Published tasks over tiny copies of their data sets, in the layouts in which they are published."""

import shutil
import sys
from collections import Counter

import pytest

from auscult.analyses.base import BASE
from auscult.core.errors import AudioError, ConfigError, MissingExtraError, UnknownNameError
from auscult.experiment.listening import Listening
from auscult.experiment.spec import Spec
from auscult.sounds.base import SOUNDS, sides_by_label
from auscult.sounds.corpora import CORPORA, octave_of
from auscult.sounds.task import tasks
from tests.copies import COPIES, voxceleb1, write_sound


def source(name, root, **settings):
    section = {"type": "task", "name": name, "path": str(root), **settings}
    cls, params = SOUNDS.parse(section, "sounds")
    return cls(params, 0)


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """Each copy is made once."""
    made = {}

    def copy(name):
        make = COPIES[name]
        if make not in made:
            made[make] = tmp_path_factory.mktemp(make.__name__) / "copy"
            make(made[make])
        return made[make]

    return copy


@pytest.fixture
def own(copies, tmp_path):
    """A copy to break."""

    def copy(name):
        shutil.copytree(copies(name), tmp_path / name)
        return tmp_path / name

    return copy


def test_every_task_has_a_reader_and_a_copy_to_be_tested_on():
    assert set(tasks()) == set(COPIES)
    assert {task.corpus for task in tasks().values()} == set(CORPORA)


@pytest.mark.parametrize("name", COPIES)
def test_a_task_has_its_classes_and_its_group(copies, name):
    task, found = tasks()[name], source(name, copies(name)).recordings()
    classes = {recording.labels["class"] for recording in found}
    assert len(classes) >= task.n_classes
    assert all(task.group in recording.labels for recording in found)
    if task.side:
        assert all(task.side in recording.labels for recording in found)


@pytest.mark.parametrize(
    ("name", "recording", "labels"),
    [
        ("esc-50", "audio/2-103-A-3.wav", {"class": "class3", "fold": "2"}),
        (
            "gise-51",
            "isolated_events/eval/Event_7/7_eval.wav",
            {"class": "Event_7", "split": "test"},
        ),
        (
            "voxforge",
            "ivan-20120101-rus/wav/ru-1.flac",
            {"class": "ru", "speaker": "ivan"},
        ),
        (
            "voxforge",
            "en/anonymous-20110101-xyz/wav/b0001.wav",
            {"class": "en", "speaker": "anonymous-20110101-xyz"},
        ),
        (
            "voxceleb1-gender",
            "wav/id10003/video3/00002.wav",
            {"class": "female", "country": "Country 3", "speaker": "id10003", "split": "test"},
        ),
        (
            "crema-d-emotion",
            "AudioWAV/1001_DFA_HAP_XX.wav",
            {"class": "happiness", "speaker": "1001", "gender": "male"},
        ),
        ("crema-d-gender", "AudioWAV/1002_DFA_HAP_XX.wav", {"class": "female"}),
        ("gtzan", "jazz/jazz.00001.wav", {"class": "jazz", "split": "valid"}),
        (
            "nsynth-octave",
            "nsynth-test/audio/bass_synthetic_test-065-100.wav",
            {"class": "octave 4", "pitch_midi": 65.0, "family": "bass", "split": "test"},
        ),
        (
            "surge-octave",
            "surge-patches-Keys-velocity64/054.ogg",
            {"class": "octave 3", "pitch_midi": 54.0, "tone": "surge-patches-Keys-velocity64"},
        ),
        ("fsdd", "recordings/7_bo_0.wav", {"class": "7", "speaker": "bo"}),
    ],
)
def test_a_recording_is_labelled_as_its_data_set_says(copies, name, recording, labels):
    known = {one.recording_id: one.labels for one in source(name, copies(name)).recordings()}
    assert labels.items() <= known[recording].items()


def test_octaves_begin_at_c():
    assert [octave_of(pitch) for pitch in (21, 23, 24, 60, 108)] == [
        "octave 0", "octave 0", "octave 1", "octave 4", "octave 8",
    ]  # fmt: skip


def test_ten_of_fifty_classes_are_their_own_task(copies):
    found = source("esc-10", copies("esc-10")).recordings()
    assert {one.labels["class"] for one in found} == {f"class{i}" for i in range(10)}


def test_excerpts_that_the_filtered_split_leaves_out_are_left_out(copies):
    ids = [one.recording_id for one in source("gtzan", copies("gtzan")).recordings()]
    assert len(ids) == 30
    assert "jazz/jazz.00099.wav" not in ids


@pytest.mark.parametrize(
    ("name", "lost", "said"),
    [
        ("esc-50", "meta/esc50.csv", r"meta/esc50\.csv is missing; expected audio/\*\.wav"),
        ("esc-50", "audio/1-100-A-0.wav", r"1 of 100 recordings that it lists are missing"),
        ("gise-51", "isolated_events/val", "the folder isolated_events/val is missing"),
        ("gise-51", "isolated_events/*/Event_3", "it has 50 of 51 classes"),
        ("voxforge", "fr", "it has 5 of 6 classes"),
        ("voxceleb1-country", "vox1_meta.csv", r"vox1_meta\.csv is missing"),
        ("crema-d-gender", "VideoDemographics.csv", "it has 0 of 2 classes"),
        ("gtzan", "test_filtered.txt", "GTZAN repeats recordings and artists"),
        ("nsynth-octave", "nsynth-valid/examples.json", r"nsynth-valid/examples\.json is missing"),
        ("surge-octave", "*", "there is no .ogg or .wav file"),
        ("fsdd", "recordings/3_*", "it has 9 of 10 classes"),
    ],
)
def test_an_incomplete_copy_is_refused_with_the_layout_that_is_expected(own, name, lost, said):
    root = own(name)
    for path in list(root.glob(lost)):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(ConfigError, match=said) as error:
        source(name, root).recordings()
    assert CORPORA[tasks()[name].corpus].layout in str(error.value)


def test_what_is_there_will_do_when_asked_for(own):
    root = own("fsdd")
    for path in root.glob("recordings/3_*"):
        path.unlink()
    found = source("fsdd", root, partial=True).recordings()
    assert len({one.labels["class"] for one in found}) == 9


def test_a_speaker_that_the_table_does_not_know_is_refused(tmp_path):
    voxceleb1(tmp_path, 35)
    write_sound(tmp_path / "wav/id19999/v/00001.wav", 999)
    with pytest.raises(ConfigError, match="does not know the speaker id19999"):
        source("voxceleb1-gender", tmp_path).recordings()


def test_a_file_that_is_named_otherwise_is_refused(own):
    root = own("crema-d-emotion")
    write_sound(root / "AudioWAV/notes.wav", 99)
    with pytest.raises(ConfigError, match=r"notes\.wav is not named actor_sentence_EMOTION_level"):
        source("crema-d-emotion", root).recordings()


def test_only_some_sides_and_some_of_each_class_may_be_heard(copies):
    few = source("esc-50", copies("esc-50"), sides=["2"], per_class=1).recordings()
    assert {one.labels["fold"] for one in few} == {"2"}
    assert set(Counter(one.labels["class"] for one in few).values()) == {1}
    with pytest.raises(ConfigError, match=r'no published sides; .*group = "speaker"'):
        source("fsdd", copies("fsdd"), sides=["test"]).recordings()


def test_a_broken_file_is_skipped_and_not_called_missing(own):
    root = own("fsdd")
    (root / "recordings/0_ann_0.wav").write_bytes(b"no sound")
    one = source("fsdd", root)
    assert len(one.recordings()) == 19
    assert [skip.name for skip in one.skipped] == ["recordings/0_ann_0.wav"]


def test_a_misspelled_task_is_told_the_nearest_ones(tmp_path):
    with pytest.raises(UnknownNameError, match="esc-50"):
        source("esc50", tmp_path).recordings()


def test_a_folder_that_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises((ConfigError, AudioError), match="does not exist"):
        source("esc-50", tmp_path / "nowhere").recordings()


def test_published_sides_divide_the_recordings(copies):
    found = source("gtzan", copies("gtzan")).recordings()
    sides = sides_by_label(found, "split", ["test"])
    assert {one.labels["split"] for one in sides["test"]} == {"test"}
    assert {one.labels["split"] for one in sides["train"]} == {"train", "valid"}
    only = sides_by_label(found, "split", ["test"], ["train"])
    assert {one.labels["split"] for one in only["train"]} == {"train"}
    with pytest.raises(ConfigError, match=r"no recording is on the test side .* 'train'"):
        sides_by_label(found, "split", ["tset"])


def test_a_run_splits_as_the_data_set_does(copies):
    data = {
        "name": "t",
        "model": {"type": "toy-samplecnn"},
        "sounds": {
            "type": "task",
            "name": "esc-50",
            "path": str(copies("esc-50")),
            "split": {"side": "fold", "test_values": ["2"]},
        },
        "record": {"taps": ["conv.0"]},
    }
    corpus = Listening(Spec.model_validate(data)).corpus(BASE)
    folds = {side: {one.labels["fold"] for one in some} for side, some in corpus.sides.items()}
    assert folds == {"train": {"1"}, "test": {"2"}}


class Library:
    """Stands in for soundata and mirdata, whose data sets all have this face."""

    def __init__(self, missing=(), different=(), index=True):
        self.report = {"clips": {"1": list(missing)}}, {"clips": {"2": list(different)}}
        self.index = index
        self.asked = []

    def initialize(self, name, data_home):
        self.asked.append((name, data_home))
        return self

    def validate(self, verbose):
        if not self.index:
            raise FileNotFoundError("no index")
        return self.report


@pytest.mark.parametrize(
    ("library", "said"),
    [
        (Library(missing=["audio/a.wav"]), r"1 files of .* are missing, .* soundata; .*a\.wav"),
        (Library(different=["x.wav", "y.wav"]), "2 files of .* differ from what was published"),
        (Library(index=False), r"fetch its index first: soundata\.initialize"),
    ],
)
def test_a_copy_that_is_not_what_was_published_is_refused(copies, monkeypatch, library, said):
    monkeypatch.setitem(sys.modules, "soundata", library)
    with pytest.raises(ConfigError, match=said):
        source("esc-50", copies("esc-50"), verify=True).recordings()


def test_a_copy_that_is_what_was_published_is_read(copies, monkeypatch):
    library = Library()
    monkeypatch.setitem(sys.modules, "mirdata", library)
    root = copies("gtzan")
    assert len(source("gtzan", root, verify=True).recordings()) == 30
    assert library.asked == [("gtzan_genre", str(root))]


def test_checksums_need_a_library_that_knows_the_data_set(copies, monkeypatch):
    monkeypatch.setitem(sys.modules, "soundata", None)
    with pytest.raises(MissingExtraError, match="soundata"):
        source("esc-50", copies("esc-50"), verify=True).recordings()
    with pytest.raises(ConfigError, match="neither soundata nor mirdata has fsdd"):
        source("fsdd", copies("fsdd"), verify=True).recordings()
