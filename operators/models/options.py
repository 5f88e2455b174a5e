"""The options of CREATE MODEL and register_model, and which of them every model reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tensorsql.errors import BindError
from tensorsql.storage.formats.options import Option, above_zero, flag, names, one_of, option_fields


@dataclass(frozen=True)
class ModelOptions:
    """How a model is loaded and what PREDICT makes of its output.

    `scale`: the input is stored / scale as float. `input`: the shape of one row. `output`: `class`
    (the position of the largest output) or `raw`. `labels`: names of the classes. `probabilities`:
    what PREDICT_PROBA does to the output: `softmax` (if not said) or `none`. `features`: the names
    of the numbers an input is made of. `trust`: loading may run code.
    """

    trust: bool = False
    factory: str | None = None
    scale: float | None = None
    input: tuple[int, ...] | None = None
    output: str | None = None
    labels: tuple[str, ...] = ()
    probabilities: str | None = None
    features: tuple[str, ...] = ()

    @property
    def preprocessing(self) -> str:
        """What changes activations besides the weights: part of the model's identity."""
        return f"scale={self.scale} input={self.input}"


def _is_factory(value: Any) -> bool:
    parts = value.split(":") if isinstance(value, str) else []
    return len(parts) == 2 and all(parts)


def _is_shape(value: Any) -> bool:
    listed = isinstance(value, list | tuple) and len(value) > 0
    return listed and all(type(size) is int and 0 < size < 2**31 for size in value)


OPTIONS = {
    "trust": flag("trust"),
    "factory": Option("factory", "'module:callable'", _is_factory),
    "scale": above_zero("scale"),
    "input": Option("input", "a list of sizes above 0, as in [1, 28, 28]", _is_shape),
    "output": one_of("output", ("class", "raw")),
    "labels": names("labels", "classes"),
    "features": names("features", "inputs"),
    "probabilities": one_of("probabilities", ("softmax", "none")),
}
EVERY_MODEL = ("scale", "input", "output", "labels", "features", "probabilities")
DERIVED = ("classes",)  # kept beside the options: written by `describe`


def checked_options(kind: str, options: Mapping[str, Any], read: Sequence[str]) -> dict[str, Any]:
    """The options as they are kept, of those that a kind of model reads.

    BindError for an option that is unknown, does not fit, or would do nothing for this kind.
    """
    folded = {name.lower(): value for name, value in options.items()}
    if len(folded) < len(options):
        raise BindError("an option of a model is given twice, in upper and lower case")
    values = option_fields("a model", folded, OPTIONS)
    for name in values:
        if name not in read:
            raise BindError(
                f"option {name} does nothing for a {kind} model, which reads {', '.join(read)};"
                " leave it out"
            )
    return values


def model_options(options: Mapping[str, Any]) -> ModelOptions:
    """What the options say that were checked when the model was made."""
    said: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in options.items()
        if name not in DERIVED
    }
    return ModelOptions(**said)
