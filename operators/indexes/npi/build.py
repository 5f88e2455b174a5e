"""Building NPI blocks: the model runs once over every row that no block has yet."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from tensorsql.operators.indexes.npi.blocks import Block, blocks_of, build_block, save_block
from tensorsql.operators.indexes.npi.budget import configure
from tensorsql.operators.models.inference import CHUNK, chunk_of, inference_of
from tensorsql.operators.runtime.program import Context
from tensorsql.storage.columns.column import take
from tensorsql.storage.tables.catalog import IndexEntry, ModelEntry, Relation

BLOCK_ROWS = 65536
BLOCK_BYTES = 512 * 2**20  # activations held while a block is built


def build_blocks(
    entry: IndexEntry, relation: Relation, model: ModelEntry, context: Context
) -> IndexEntry:
    """The entry with blocks for the live rows behind those it has; NULL images are left out."""
    blocks = blocks_of(entry)
    last = int(blocks[-1].row_ids[-1]) if blocks else -1
    for block in new_blocks(entry, relation, model, context, last):
        if entry.directory is not None:
            save_block(block, entry.directory, len(blocks))
        blocks = [*blocks, block]
    options = {**entry.options, "blocks": len(blocks)}
    return dataclasses.replace(entry, options=options, state=blocks)


def new_blocks(
    entry: IndexEntry, relation: Relation, model: ModelEntry, context: Context, last: int
) -> Iterator[Block]:
    """One block after the other, of as many rows as memory allows."""
    batch = inference_of(context).model(model).batch
    for row_ids, parts in _runs(entry, relation, model, context, last):
        chosen = configure(entry.options, len(row_ids), batch)
        yield build_block(row_ids, torch.cat(parts), chosen.partitions, chosen.ratio)


def _runs(
    entry: IndexEntry, relation: Relation, model: ModelEntry, context: Context, last: int
) -> Iterator[tuple[Tensor, list[Tensor]]]:
    """Row ids and activations of one block at a time."""
    inference, layer = inference_of(context), entry.arguments[1]
    ids: list[Tensor] = []
    parts: list[Tensor] = []
    count = 0
    for row_ids, images in _inputs(entry.options["image"], relation, last):
        context.check()
        ids.append(row_ids)
        parts.append(inference.run(model, layer, images))
        count += len(row_ids)
        width = max(1, parts[-1].shape[1])
        if count + CHUNK > min(BLOCK_ROWS, max(CHUNK, math.floor(BLOCK_BYTES / (4 * width)))):
            yield torch.cat(ids), parts
            ids, parts, count = [], [], 0
    if count:
        yield torch.cat(ids), parts


def _inputs(image: str, relation: Relation, last: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Row ids and images of live rows behind row id `last`, in chunks."""
    reader = relation.open()
    for start in range(0, relation.rows, CHUNK):
        stop = min(start + CHUNK, relation.rows)
        row_ids = reader.row_ids(start, stop)
        column = reader.read(image, start, stop)
        wanted = row_ids > last
        for flags in (reader.live(start, stop), column.validity):
            wanted = wanted if flags is None else wanted & flags
        if not bool(wanted.any()):
            continue
        places = torch.nonzero(wanted)[:, 0]
        yield row_ids[places], chunk_of(take(column, places), 0, len(places))
