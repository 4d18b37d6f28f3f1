"""Classifiers, and models that find images that a trained network responds to, or that a trained generator can make."""
