"""A spec becomes stages, the stages leave a run folder."""
