"""Models: one file per format, the loaded `Model`, and `Inference`, which queries go through."""

from tensorsql.operators.models.load import keep_file, load_model, open_model, register_module

__all__ = ["keep_file", "load_model", "open_model", "register_module"]
