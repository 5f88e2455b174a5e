"""Neurons: distances, scores and activations of one layer of a model.

The binder makes these calls; model, layer, neurons, measure and target are their options.
"""

from __future__ import annotations

from tensorsql.planner.plans.signature import Signature
from tensorsql.storage.columns.types import DOUBLE, REAL, Kind, list_of

TENSOR = (Kind.TENSOR,)
COST = 1_000_000.0  # about half a millisecond of inference a row

SIGNATURES = (
    Signature("neuron_distance", (TENSOR,), DOUBLE, "neurons.distance", nulls="own", cost=COST),
    Signature("neuron_score", (TENSOR,), DOUBLE, "neurons.score", nulls="own", cost=COST),
    Signature(
        "neuron_activations",
        (TENSOR,),
        list_of(REAL),
        "neurons.activations",
        nulls="own",
        cost=COST,
    ),
    # Numbers the rows of its input: the rank of TOPK_SIMILAR and TOPK_HIGHEST.
)
