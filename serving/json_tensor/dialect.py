"""The JSON dialect of TF Serving, for other request kinds than predict: `parse`, and the writers of text."""

from tfgen_serving.json_tensor.parser import Object, count_elements, invalid, parse
from tfgen_serving.json_tensor.text import decimal_text, decimal_texts, quote, string_text

__all__ = ["Object", "count_elements", "decimal_text", "decimal_texts", "invalid", "parse", "quote", "string_text"]
