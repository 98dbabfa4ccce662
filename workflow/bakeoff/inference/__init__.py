"""Predictions for new images."""
