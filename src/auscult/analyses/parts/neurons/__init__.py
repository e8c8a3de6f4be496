"""Tasks over labelled clips, neurons that are specific to a class, and what silencing them does."""
