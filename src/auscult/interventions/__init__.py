"""Changes at a tap while a model runs."""
