"""NPI, the Neural Partition Index: bounds of every neuron of one layer of one model.

Guarantee: the distance or score of a row lies within the bounds its partitions imply. Torch is
imported when an index is built or probed, so that planning never does.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from tensorsql.errors import BindError
from tensorsql.operators.indexes.npi.budget import checked_options
from tensorsql.operators.indexes.protocol import Probe
from tensorsql.planner.analysis.model_inputs import column_misfit
from tensorsql.planner.analysis.neurons import layer_shape
from tensorsql.planner.plans.expressions import Call
from tensorsql.storage.columns.types import Kind
from tensorsql.storage.tables.catalog import IndexEntry, ModelEntry, Relation

if TYPE_CHECKING:
    from tensorsql.operators.runtime.program import Context


class NpiIndex:
    """`CREATE INDEX i ON t USING NPI (model, 'layer') WITH (budget = 0.2)`.

    Options: `budget`, a share of full storage; or `partitions` and `ratio` (the share of rows with
    exact values); `image`, the TENSOR column if there are several.
    """

    method = "NPI"

    def build(self, entry: IndexEntry, relation: Relation, context: Context) -> IndexEntry:
        """Run the model over all rows, block by block."""
        from tensorsql.operators.indexes.npi.build import build_blocks

        checked = checked_options(entry.options)
        model = _model(entry, context)
        layer = entry.arguments[1]
        layer_shape(model, layer)
        image = image_column(relation, checked.get("image"))
        column = relation.schema.column(image)
        if column is not None and (reason := column_misfit(model, column.type)):
            raise BindError(f'model "{model.name}", column "{image}": {reason}')
        options = {**checked, "image": image, "weights_hash": model.weights_hash}
        return build_blocks(dataclasses.replace(entry, options=options), relation, model, context)

    def last_row(self, entry: IndexEntry) -> int:
        """The last row id indexed."""
        from tensorsql.operators.indexes.npi.blocks import blocks_of

        blocks = blocks_of(entry)
        return int(blocks[-1].row_ids[-1]) if blocks else -1

    def extend(self, entry: IndexEntry, relation: Relation, context: Context) -> IndexEntry:
        """Add blocks for the rows behind the last one indexed; older blocks stay as they are.

        The same entry if the model has other weights by now.
        """
        from tensorsql.operators.indexes.npi.build import build_blocks

        model = _model(entry, context)
        if model.weights_hash != entry.options["weights_hash"]:
            return entry
        return build_blocks(entry, relation, model, context)

    def prepare(self, entry: IndexEntry, call: Call, context: Context) -> Probe:
        """Runs the target, if there is one, through the model."""
        from tensorsql.operators.indexes.npi.blocks import blocks_of
        from tensorsql.operators.indexes.npi.probe import probe_of
        from tensorsql.operators.models.inference import inference_of

        inference = inference_of(context)
        batch = inference.model(context.model(call.option("model"))).batch
        return probe_of(blocks_of(entry), inference.question(call, context), batch)


def image_column(relation: Relation, named: str | None) -> str:
    """The TENSOR column meant; BindError where there is none or a choice."""
    schema = relation.schema
    images = [column.name for column in schema.columns if column.type.kind is Kind.TENSOR]
    if named is not None:
        chosen = schema.column(str(named))
        if chosen is None or chosen.type.kind is not Kind.TENSOR:
            raise BindError(f'"{named}" is no TENSOR column of {schema.name}{_listed(images)}')
        return chosen.name
    if len(images) != 1:
        what = "no TENSOR column" if not images else "several TENSOR columns; say WITH (image = …)"
        raise BindError(f"{schema.name} has {what}{_listed(images)}")
    return images[0]


def _listed(names: list[str]) -> str:
    return "; there is " + ", ".join(f'"{name}"' for name in names) if names else ""


def _model(entry: IndexEntry, context: Context) -> ModelEntry:
    if len(entry.arguments) != 2:
        raise BindError("an NPI index takes a model and a layer, as in USING NPI (cnn, 'fc1')")
    return context.named_model(entry.arguments[0])
