"""Audio, time, configuration, registries, errors, provenance: what every other part stands on."""
