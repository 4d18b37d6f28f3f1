"""The studio: one page in the browser for all models, in front of a server with TensorFlow Serving's REST API.

`tfgen studio` starts it, see `tfgen_commands.studio`. The page is in `static/`: ES modules without a build step.
"""
