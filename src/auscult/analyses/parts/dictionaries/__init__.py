"""The dictionaries of a spec beside their baselines, and pictures of how each stands."""
