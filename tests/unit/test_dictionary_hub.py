"""Push, pull, and the folder that needs neither; a folder stands in for the hub."""

import fnmatch
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from auscult.cli import main
from auscult.core.errors import CheckpointError, StoreError
from auscult.core.tensors import write_json
from auscult.dictionaries import hub
from auscult.dictionaries.base import DICTIONARIES, Dictionary
from auscult.dictionaries.provenance import Provenance
from auscult.store.source import ArraySource

VALUES = ArraySource((3.0 + np.random.default_rng(0).standard_normal((50, 5))).astype(np.float32))
X = torch.from_numpy(VALUES.rows(np.arange(50)))


class Folder:
    """A hub that is a folder on this machine."""

    def __init__(self, root):
        self.root = root
        self.private = {}

    def create_repo(self, repo_id, *, private, exist_ok):
        assert exist_ok
        self.private.setdefault(repo_id, private)

    def upload_folder(self, *, repo_id, folder_path, path_in_repo, commit_message):
        assert repo_id in self.private
        assert commit_message
        shutil.copytree(folder_path, self.root / repo_id / path_in_repo, dirs_exist_ok=True)

    def snapshot_download(self, repo_id, *, revision, local_dir, allow_patterns):
        for path in sorted((self.root / repo_id).rglob("*")):
            name = path.relative_to(self.root / repo_id).as_posix()
            if path.is_file() and any(fnmatch.fnmatch(name, p) for p in allow_patterns):
                target = Path(local_dir) / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)


class Unreachable:
    def create_repo(self, repo_id, *, private, exist_ok):
        raise ConnectionError("no route to host\nand much more")

    def upload_folder(self, **said):
        raise AssertionError

    def snapshot_download(self, repo_id, **said):
        raise ConnectionError("no route to host")


@pytest.fixture
def saved(tmp_path):
    cls, params = DICTIONARIES.parse({"type": "topk", "n_features": 7, "k": 2}, "here")
    made = cls.build(params, 5, 0, VALUES.statistics)
    made.provenance = Provenance(model="a model", weights="abc", tap="conv.0")
    made.save(tmp_path / "mine")
    return tmp_path / "mine"


def test_what_is_pulled_encodes_the_bits_that_were_pushed(saved, tmp_path):
    there = Folder(tmp_path / "hub")
    url = hub.push(saved, "me/thing", private=True, api=there)
    assert url == "https://huggingface.co/me/thing"
    assert there.private == {"me/thing": True}
    came = hub.pull("me/thing", tmp_path / "back", api=there)
    mine = Dictionary.load(saved)
    assert torch.equal(came.encode(X), mine.encode(X))
    assert came.provenance == mine.provenance


def test_several_lie_side_by_side_in_one_repository(saved, tmp_path):
    there = Folder(tmp_path / "hub")
    assert hub.push(saved, "me/all", inside="conv.0/a", api=there).endswith("tree/main/conv.0/a")
    came = hub.pull("me/all", tmp_path / "back", inside="conv.0/a", api=there)
    assert came.n_features == 7
    assert sorted(path.name for path in (tmp_path / "back").iterdir()) == [
        "README.md",
        "auscult.json",
        "cfg.json",
        "sae_weights.safetensors",
        "weights.safetensors",
    ]


def test_nothing_but_data_comes_over(saved, tmp_path):
    there = Folder(tmp_path / "hub")
    hub.push(saved, "me/thing", api=there)
    (tmp_path / "hub" / "me" / "thing" / "evil.pt").write_bytes(b"pickle")
    (tmp_path / "hub" / "me" / "thing" / "evil.py").write_text("raise SystemExit")
    hub.pull("me/thing", tmp_path / "back", api=there)
    assert not list((tmp_path / "back").glob("evil*"))


def test_the_bundle_is_the_folder_that_is_pushed(saved, tmp_path):
    there = Folder(tmp_path / "hub")
    hub.push(saved, "me/thing", api=there)
    hub.bundle(saved, tmp_path / "by hand")
    for path in (tmp_path / "by hand").iterdir():
        assert path.read_bytes() == (tmp_path / "hub" / "me" / "thing" / path.name).read_bytes()
    assert torch.equal(
        Dictionary.load(tmp_path / "by hand").encode(X), Dictionary.load(saved).encode(X)
    )


def run_folder(tmp_path, controls):
    one = {"name": "error", "value": 0.25, "unit": "", "controls": controls, "interval": [0.2, 0.3]}
    write_json(tmp_path / "run" / "manifest.json", {})
    told = {"measurements": [{**one, "tap": "conv.0"}, {**one, "name": "other", "tap": "conv.1"}]}
    write_json(tmp_path / "run" / "results" / "quality" / "result.json", told)
    return tmp_path / "run"


def test_the_card_tells_figures_of_its_tap_beside_their_controls(saved, tmp_path):
    run = run_folder(tmp_path, {"random weights": 0.9})
    hub.bundle(saved, tmp_path / "out", run)
    said = (tmp_path / "out" / "README.md").read_text()
    assert "| error | 0.25 | 0.2 to 0.3 | random weights: 0.9 |" in said
    assert "other" not in said
    for part in ("| tap | conv.0 |", "| model | a model |", "| k | 2 |", "as `topk`"):
        assert part in said


def test_of_several_dictionaries_only_its_own_figures_are_told(saved, tmp_path):
    run, own = run_folder(tmp_path, {"random weights": 0.9}), Dictionary.load(saved).params
    sections = [{"type": "topk", **own.model_dump(mode="json"), "k": k} for k in (2, 3)]
    entries = [{"name": f"k={one['k']}", "of": "responses", "section": one} for one in sections]
    write_json(run / "manifest.json", {"spec": {"dictionaries": entries}})
    figure = {"value": 1.0, "unit": "", "controls": {"noise": 0.1}, "tap": "conv.0"}
    names = ("k=2: error", "k=3: error", "mean over both")
    told = [{**figure, "name": name} for name in names]
    told.append({**figure, "name": "k=2: not measured", "value": None})
    write_json(run / "results" / "quality" / "result.json", {"measurements": told})
    assert [one["name"] for one in hub.figures_of(run, Dictionary.load(saved))] == ["error"]


def test_a_dictionary_of_random_weights_has_no_figures_of_trained_ones(saved, tmp_path):
    run = run_folder(tmp_path, {"random weights": 0.9})
    write_json(run / "manifest.json", {"weights": {"trained": "xyz", "random": "abc"}})
    with pytest.raises(StoreError, match="fitted to random weights: leave the run out"):
        hub.bundle(saved, tmp_path / "out", run)


def test_a_figure_without_a_control_is_refused(saved, tmp_path):
    with pytest.raises(CheckpointError, match="'error' has no control"):
        hub.bundle(saved, tmp_path / "out", run_folder(tmp_path, {}))


def test_hostile_names_stay_text(saved, tmp_path):
    made = Dictionary.load(saved)
    made.provenance = Provenance(model="a|b\n# <script>", tap="conv.0")
    said = hub.card(made, [])
    assert "| model | a\\|b # &lt;script> |" in said


def test_an_unreachable_hub_is_one_sentence_and_leaves_nothing(saved, tmp_path):
    with pytest.raises(StoreError, match=r"^me/thing could not be sent to .*no route to host\): "):
        hub.push(saved, "me/thing", api=Unreachable())
    with pytest.raises(StoreError, match=r"could not be fetched from the hub \(no route"):
        hub.pull("me/thing", tmp_path / "back", api=Unreachable())
    assert not (tmp_path / "back").exists()


def test_what_is_no_dictionary_leaves_nothing(tmp_path):
    there = Folder(tmp_path / "hub")
    (tmp_path / "hub" / "me" / "thing").mkdir(parents=True)
    (tmp_path / "hub" / "me" / "thing" / "cfg.json").write_text("{}")
    with pytest.raises(StoreError, match="holds no dictionary"):
        hub.pull("me/thing", tmp_path / "back", api=there)
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("name", ["thing", "a/b/c", "/x", "x/"])
def test_a_name_without_an_owner_is_refused(saved, name):
    with pytest.raises(StoreError, match="write owner/name"):
        hub.push(saved, name, api=Unreachable())


def test_a_folder_that_holds_something_is_not_written_over(saved, tmp_path):
    for call in (lambda: hub.bundle(saved, saved), lambda: hub.pull("a/b", saved, api=None)):
        with pytest.raises(StoreError, match="holds something already"):
            call()


def test_the_real_api_has_what_is_used_of_it():
    import inspect

    from huggingface_hub import HfApi

    wanted = {
        "create_repo": {"repo_id", "private", "exist_ok"},
        "upload_folder": {"repo_id", "folder_path", "path_in_repo", "commit_message"},
        "snapshot_download": {"repo_id", "revision", "local_dir", "allow_patterns"},
    }
    for name, arguments in wanted.items():
        assert arguments <= set(inspect.signature(getattr(HfApi, name)).parameters)


def test_the_words_of_the_command_line_are_these_functions(saved, tmp_path, monkeypatch, capsys):
    there = Folder(tmp_path / "hub")
    monkeypatch.setattr(hub, "_hub", lambda: there)
    codes = []
    main(["push", str(saved), "me/thing"], stop=codes.append)
    main(["pull", "me/thing", str(tmp_path / "back")], stop=codes.append)
    main(["bundle", str(saved), str(tmp_path / "out")], stop=codes.append)
    main(["pull", "thing", str(tmp_path / "x")], stop=codes.append)
    assert codes == [0, 0, 0, 2]
    said = capsys.readouterr()
    assert "https://huggingface.co/me/thing" in said.out
    assert "7 features of width 5" in said.out
    assert "auscult: 'thing' names no repository" in said.err
