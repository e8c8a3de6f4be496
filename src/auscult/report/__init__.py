"""The report: static pages made of a run's blocks and sounds, without torch, without network."""
