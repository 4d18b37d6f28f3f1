"""Serving: will hold the TensorFlow Serving configuration, a compatible local server and a client.

TensorFlow Serving loads the version folders that `tfgen export` writes.
"""
