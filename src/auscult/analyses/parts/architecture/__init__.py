"""Stages of a network, and units at any depth of it."""
