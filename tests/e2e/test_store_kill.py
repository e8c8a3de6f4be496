"""A capture killed at any point leaves nothing that the next one cannot mend."""

import json
import subprocess
import sys

import pytest

PRELUDE = """
import json, os, random, shutil, signal, sys, time
from pathlib import Path
import torch
from auscult.testing.stores import add_clips, content, start_store

torch.set_num_threads(1)
SCRATCH = Path(sys.argv[1])

def capture(folder, lengths, **settings):
    with start_store(folder, **settings) as writer:
        add_clips(writer, lengths)
        writer.finish()

def forked(work):
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
        os._exit(0)
    return child

def status(child):
    return os.waitpid(child, 0)[1]
"""

KILLS = """
lengths = dict.fromkeys(range(120), 400)
settings = {"d_in": 24, "shard_vectors": 3000, "save_every_s": 0.01}
began = time.perf_counter()
assert status(forked(lambda: capture(SCRATCH / "whole", lengths, **settings))) == 0
took = time.perf_counter() - began
draw = random.Random(0)
killed = 0
while True:
    child = forked(lambda: capture(SCRATCH / "killed", lengths, **settings))
    if killed < 12:
        time.sleep(draw.uniform(0, took / 5))
        os.kill(child, signal.SIGKILL)
    ended = status(child)
    if ended == 0:
        break
    assert ended == signal.SIGKILL, ended
    killed += 1
equal = content(SCRATCH / "killed") == content(SCRATCH / "whole")
print(json.dumps({"killed": killed, "equal": equal}))
"""

# The disk is touched through these alone; stopping before each of their calls in turn is stopping
# in every state that the disk can be in.
CRASHES = """
first = {0: 7, 1: 4}
lengths = {**first, 2: 12, 3: 1, 4: 9, 5: 2}

def crashing(folder, after):
    calls = 0
    def guarded(operation):
        def call(*args, **keywords):
            nonlocal calls
            calls += 1
            if calls > after:
                os._exit(9)
            return operation(*args, **keywords)
        return call
    for name in ("fsync", "replace", "unlink"):
        setattr(os, name, guarded(getattr(os, name)))
    capture(folder, lengths, save_every_s=0.0)

def crashes(name, before):
    unequal, after = [], 0
    while True:
        folder = SCRATCH / f"{name}-{after}"
        if before:
            shutil.copytree(before, folder)
        ended = status(forked(lambda: crashing(folder, after)))
        if ended == 0:
            return {"crashes": after, "unequal": unequal}
        assert os.waitstatus_to_exitcode(ended) == 9, ended
        capture(folder, lengths)
        if content(folder) != expected:
            unequal.append(after)
        after += 1

capture(SCRATCH / "whole", lengths)
capture(SCRATCH / "before", first)
expected = content(SCRATCH / "whole")
told = {"new": crashes("new", None), "appended": crashes("appended", SCRATCH / "before")}
print(json.dumps(told))
"""


def run(script, folder):
    command = [sys.executable, "-c", PRELUDE + script, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_capture_killed_at_random_moments_ends_in_the_same_bytes(tmp_path):
    told = run(KILLS, tmp_path)
    assert told["killed"] >= 5
    assert told["equal"]


@pytest.fixture(scope="module")
def crashes(tmp_path_factory):
    return run(CRASHES, tmp_path_factory.mktemp("crashes"))


@pytest.mark.parametrize("store", ["new", "appended"])
def test_a_crash_before_any_operation_on_the_disk_can_be_resumed(crashes, store):
    assert crashes[store]["crashes"] >= 20
    assert crashes[store]["unequal"] == []
