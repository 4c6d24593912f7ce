"""Starts of networks that learn from nothing."""
