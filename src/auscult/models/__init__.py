"""Adapters: what a model's weights do not tell (rate, layout, roles of layers, decoding)."""
