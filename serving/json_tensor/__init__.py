"""JSON of TF Serving's REST predict API: `parse_predict`, `format_predict`, `format_error`. Pure functions, no server."""

from tfgen_serving.json_tensor.fast_request import parse_predict
from tfgen_serving.json_tensor.reply import format_error, format_predict
from tfgen_serving.json_tensor.request import Request

__all__ = ["Request", "format_error", "format_predict", "parse_predict"]
