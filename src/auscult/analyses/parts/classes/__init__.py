"""Units by class of sound: what frames are given, who has which label, and pictures of it."""
