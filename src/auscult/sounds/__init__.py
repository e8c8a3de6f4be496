"""Sources of sound: folders of recordings, the bundled corpus, and stimuli whose truth is exact."""
