"""TOPK_SIMILAR, TOPK_HIGHEST and ACTIVATIONS: table functions that bind to ordinary plan nodes.

    TOPK_SIMILAR(data => t, model => m, layer => 'fc1', neurons => [3, 17], input => 659, k => 20)

is TopN over Project(id, neuron_distance(image)) over t without the target, and a rank. So the
operators that use an index for any expensive ORDER BY … LIMIT serve neurons as well.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from tensorsql.errors import BindError, UnsupportedError, nearest, shown
from tensorsql.parser.dialect import position, text_of
from tensorsql.planner.analysis.neurons import (
    WHOLE_LAYER,
    NeuronGroup,
    TargetRow,
    at_position,
    channel,
    check_range,
    layer_shape,
    neuron_list,
)
from tensorsql.planner.analysis.provenance import Origin, carry, is_row_id, origin
from tensorsql.planner.binder.models import check_tensor, find_model
from tensorsql.planner.functions.resolve import cast, resolve, resolve_aggregate
from tensorsql.planner.plans.expressions import Call, Expression, Literal, SortKey, WindowCall
from tensorsql.planner.plans.logical import Filter, Project, TopN, Unnest, Window
from tensorsql.planner.plans.plan import Field, Plan, new_field
from tensorsql.storage.columns import types
from tensorsql.storage.columns.types import BIGINT, DOUBLE, REAL, Kind
from tensorsql.storage.formats.options import Option, flag, is_positive, is_text, one_of
from tensorsql.storage.tables.catalog import ModelEntry, Relation

if TYPE_CHECKING:
    from tensorsql.planner.binder.scope import Tables
    from tensorsql.planner.binder.table_arguments import TableArguments

COMMON = ("data", "model", "layer", "neurons", "image", "id")


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 1


def _are_weights(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) > 0 and all(map(is_positive, value))


# What `name => value` may be, but for `data`, `model`, `neurons` and `input`, which are no values.
LAYER = Option("layer", "a module path in quotes, such as 'fc1'", is_text)
IMAGE = Option("image", "the name of a TENSOR column", is_text)
ID = Option("id", "the name of a column", is_text)
K = Option("k", "a whole number of at least 1", _is_count)
DIST = one_of("dist", ("l1", "l2", "linf", "cosine"))
SCORE = one_of("score", ("sum", "mean", "min", "max", "l2"))
WEIGHTS = Option("weights", "a list of numbers above 0, one for each neuron", _are_weights)
INCLUDE_TARGET = flag("include_target")


@dataclass(frozen=True)
class Inputs:
    """The rows a neuron function works on: the plan, its image column and its id column."""

    plan: Plan
    image: Field
    id: Field


def topk_similar(arguments: TableArguments) -> Plan:
    """The k rows nearest to the input over a group of neurons: (input_id, distance, rank)."""
    arguments.check(0, (*COMMON, "input", "k", "dist", "weights", "include_target"))
    layer = _Layer.of(arguments)
    inputs = _inputs(arguments)
    group = layer.group(arguments, top=True)
    target = _target(arguments, inputs)
    options = {
        "neurons": group,
        "dist": arguments.checked(DIST, "l2"),
        "weights": _weights(arguments, group),
        "target": target,
    }
    if not arguments.checked(INCLUDE_TARGET, False):
        same = resolve("is_distinct_from", [inputs.id.ref(), Literal(inputs.id.type, target.value)])
        inputs = dataclasses.replace(inputs, plan=Filter(inputs.plan, same))
    distance = layer.call("neuron_distance", inputs, options)
    return _ranked(arguments, inputs, distance, "distance", descending=False)


def topk_highest(arguments: TableArguments) -> Plan:
    """The k rows where a group of neurons is most active: (input_id, score, rank)."""
    arguments.check(0, (*COMMON, "k", "score"))
    layer = _Layer.of(arguments)
    inputs = _inputs(arguments)
    options = {
        "neurons": layer.group(arguments, top=False),
        "score": arguments.checked(SCORE, "sum"),
    }
    score = layer.call("neuron_score", inputs, options)
    return _ranked(arguments, inputs, score, "score", descending=True)


def activations(arguments: TableArguments) -> Plan:
    """One row per input and neuron: (input_id, neuron_id, activation)."""
    arguments.check(0, COMMON)
    layer = _Layer.of(arguments)
    inputs = _inputs(arguments)
    group = layer.group(arguments, top=False)
    call = layer.call("neuron_activations", inputs, {"neurons": group})
    kind = DOUBLE if layer.model.running.activation == "float64" else REAL
    call = dataclasses.replace(call, type=types.list_of(kind))
    listed = new_field("activations", call.type)
    input_id = new_field("input_id", inputs.id.type)
    lists = Project(inputs.plan, ((input_id, inputs.id.ref()), (listed, call)))
    value, place = new_field("activation", kind), new_field("place", BIGINT)
    rows = Unnest(lists, value, listed.ref(), place)
    number = _neuron_number(group, place)
    neuron = new_field("neuron_id", number.type)
    return Project(rows, ((input_id, input_id.ref()), (neuron, number), (value, value.ref())))


def _neuron_number(group: NeuronGroup, place: Field) -> Expression:
    """The neuron at a 1-based place of the group's list."""
    if group.indices is None:
        return resolve("-", [place.ref(), Literal(BIGINT, 1)])
    numbers = Literal(types.list_of(BIGINT), group.indices)
    return resolve("list_extract", [numbers, place.ref()])


@dataclass(frozen=True)
class _Layer:
    """A layer of a model, with its shape."""

    model: ModelEntry
    name: str
    shape: tuple[int, ...]

    @staticmethod
    def of(arguments: TableArguments) -> _Layer:
        model = find_model(arguments.environment, arguments.required("model"))
        arguments.required("layer")
        name = arguments.checked(LAYER)
        return _Layer(model, name, layer_shape(model, name))

    def group(self, arguments: TableArguments, top: bool) -> NeuronGroup:
        """`neurons => [3, 17] | CHANNEL(c) | POSITION(y, x) | RANGE(a, b) | TOP_NEURONS(n)`."""
        node = arguments.named.get("neurons")
        if node is None:
            return WHOLE_LAYER
        if not isinstance(node, (exp.Func, exp.Array)) or isinstance(node, exp.Array):
            value = arguments.value(node, "neurons")
            chosen = value if isinstance(value, tuple) else (value,)
            return neuron_list(_whole_numbers(chosen, "neurons"), self.shape, text_of(node))
        name = _function_name(node)
        if name not in GROUPS or (name == "top_neurons" and not top):
            groups = [each for each in GROUPS if top or each != "top_neurons"]
            raise BindError(
                f"neurons cannot be {name}(…){nearest(name, groups)}; it is a list or one of "
                + ", ".join(f"{each.upper()}(…)" for each in groups),
                position(node),
            )
        values = [arguments.value(item, name) for item in _function_arguments(node)]
        return _function_group(name, _whole_numbers(values, name), self.shape)

    def call(self, name: str, inputs: Inputs, options: Mapping[str, Any]) -> Call:
        """The scalar call over the image column, which must be what the model takes."""
        check_tensor(self.model, inputs.image.type, inputs.image.name)
        call = resolve(name, [inputs.image.ref()])
        assert isinstance(call, Call)
        set_options = tuple((key, value) for key, value in options.items() if value is not None)
        named = (("model", self.model), ("layer", self.name), *set_options)
        return dataclasses.replace(call, options=named)


GROUPS = {"channel": 1, "position": 2, "range": 2, "top_neurons": 1}


def _function_name(node: exp.Expr) -> str:
    return str(node.name if isinstance(node, exp.Anonymous) else node.key).lower()


def _function_arguments(node: exp.Expr) -> list[exp.Expr]:
    if isinstance(node, exp.Anonymous):
        return list(node.expressions)
    return [value for value in node.args.values() if isinstance(value, exp.Expr)]


def _function_group(name: str, values: tuple[int, ...], shape: tuple[int, ...]) -> NeuronGroup:
    if len(values) != GROUPS[name]:
        raise BindError(f"{name.upper()} takes {GROUPS[name]} numbers, {len(values)} were given")
    match name:
        case "channel":
            return channel(shape, values[0])
        case "position":
            return at_position(shape, values[0], values[1])
        case "range":
            numbers = range(values[0], values[1])
            if numbers:  # a range too long for the layer is never written out
                check_range((numbers[0], numbers[-1]), math.prod(shape))
            return neuron_list(tuple(numbers), shape, f"RANGE({values[0]}, {values[1]})")
    count = math.prod(shape)
    if not 1 <= values[0] <= count:
        raise BindError(f"TOP_NEURONS takes a number from 1 to {count}, not {values[0]}")
    return NeuronGroup(None, values[0], f"TOP_NEURONS({values[0]})")


def _whole_numbers(values: Any, name: str) -> tuple[int, ...]:
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int):
            raise BindError(f"{name} takes whole numbers, not {shown(value)}")
    return tuple(values)


def _inputs(arguments: TableArguments) -> Inputs:
    """The data with its image column (the only TENSOR) and the column that names a row."""
    tables = arguments.data()
    image = _image(arguments, tables)
    if "id" in arguments.named:
        return Inputs(tables.plan, image, _id(arguments, tables))
    source = origin(tables.plan, image.id)
    key = None if source is None else _key(source.scan.relation)
    if source is None or key is None:
        raise _nameless(arguments, source)
    own = next((field for field, name in source.scan.columns if name.lower() == key.lower()), None)
    plan = None if own is None else carry(tables.plan, source.scan, own)
    if own is None or plan is None:
        raise _nameless(arguments, source)
    return Inputs(plan, image, own)


def _key(relation: Relation) -> str | None:
    """The column that names a row: the primary key, else the only UNIQUE NOT NULL column."""
    schema = relation.schema
    if schema.primary_key:
        return schema.primary_key[0] if len(schema.primary_key) == 1 else None
    single = {key[0].lower() for key in schema.unique if len(key) == 1}
    names = [item.name for item in schema.columns if item.not_null and item.name.lower() in single]
    return names[0] if len(names) == 1 else None


def _nameless(arguments: TableArguments, source: Origin | None) -> BindError:
    """Rows are never numbered behind the user's back: such ids would join with other rows."""
    cure = "say which column does with id => …"
    if source is None or source.scan.relation.identity is None:
        what = f"nothing names the rows of data, which {arguments.function} returns"
    else:
        relation = source.scan.relation
        what = (
            f"{relation.name} has no PRIMARY KEY or UNIQUE NOT NULL column that alone names a row"
        )
        cure += ", or id => rowid to have the table's own row numbers"
    return BindError(f"{what}; {cure}", position(arguments.node))


def _image(arguments: TableArguments, tables: Tables) -> Field:
    if "image" in arguments.named:
        image = _named(arguments, IMAGE, tables)
        if image.type.kind is not Kind.TENSOR:
            raise BindError(f'"{image.name}" is {image.type}; image needs a TENSOR column')
        return image
    columns = dict(tables.columns)
    images = [field for field in columns.values() if field.type.kind is Kind.TENSOR]
    if len(images) != 1:
        what = "no TENSOR column" if not images else "several TENSOR columns; say image => column"
        names = ", ".join(f'"{field.name}"' for field in images or columns.values())
        raise BindError(f"data has {what}; there is {names}", position(arguments.node))
    return images[0]


def _id(arguments: TableArguments, tables: Tables) -> Field:
    column = _named(arguments, ID, tables)
    if column.type.kind in (Kind.TENSOR, Kind.MASK):
        raise BindError(
            f'"{column.name}" is {column.type}, which names no row; say another id => …'
        )
    return column


def _named(arguments: TableArguments, option: Option, tables: Tables) -> Field:
    name = arguments.checked(option)
    columns = tables.find(name)
    place = arguments.place(arguments.named[option.field])
    if not columns:
        hint = nearest(name, [own for own, _ in tables.columns])
        raise BindError(f'data has no column "{name}"{hint}', place)
    if len(columns) > 1:
        raise BindError(f'data has several columns "{name}"', place)
    return columns[0]


def _target(arguments: TableArguments, inputs: Inputs) -> TargetRow:
    """The row of the base table that `input` names, whether or not `data` leaves it out."""
    bound = _target_id(arguments, inputs)
    image = origin(inputs.plan, inputs.image.id)
    if image is None:
        raise UnsupportedError(
            f'"{inputs.image.name}" is computed; topk_similar needs a column that comes'
            " unchanged from one table"
        )
    relation = image.scan.relation
    if is_row_id(inputs.plan, inputs.id.id, image.scan):
        return TargetRow(relation.reference, image.column, None, bound.value)
    named = origin(inputs.plan, inputs.id.id)
    if named is None or named.scan is not image.scan:
        raise UnsupportedError(
            f'id "{inputs.id.name}" does not come from {relation.name}, where the images are'
        )
    return TargetRow(relation.reference, image.column, named.column, bound.value)


def _target_id(arguments: TableArguments, inputs: Inputs) -> Literal:
    """The value of `input` as one of the id column's type, unchanged."""
    named = arguments.binder.bind(arguments.required("input"))
    if not isinstance(named, Literal):
        raise BindError("input of topk_similar must be a constant")
    if named.value is None:
        raise BindError("input of topk_similar is NULL; it names the row to compare with")
    if (named.type.kind is Kind.BOOLEAN) != (inputs.id.type.kind is Kind.BOOLEAN):
        raise BindError(f'input is {named.type}, but id "{inputs.id.name}" is {inputs.id.type}')
    bound = cast(named, inputs.id.type)
    same = isinstance(bound, Literal) and (
        bound.value == named.value or not named.type.is_numeric or not bound.type.is_numeric
    )
    if not isinstance(bound, Literal) or not same:
        raise BindError(
            f'input {shown(named.value)} not found: id "{inputs.id.name}" is {inputs.id.type}',
            position(arguments.named["input"]),
        )
    return bound


def _ranked(
    arguments: TableArguments, inputs: Inputs, value: Expression, name: str, descending: bool
) -> Plan:
    """The first k by (value, id), numbered."""
    arguments.required("k")
    input_id, result = new_field("input_id", inputs.id.type), new_field(name, DOUBLE)
    present = resolve("not", [resolve("is_null", [inputs.image.ref()])])
    rows = Project(Filter(inputs.plan, present), ((input_id, inputs.id.ref()), (result, value)))
    keys = (SortKey(result.ref(), descending), SortKey(input_id.ref()))
    best = TopN(rows, keys, arguments.checked(K))
    rank = new_field("rank", BIGINT)
    number = resolve_aggregate("row_number", [])
    return Window(best, ((rank, WindowCall(BIGINT, number)),))


def _weights(arguments: TableArguments, group: NeuronGroup) -> tuple[float, ...] | None:
    numbers = arguments.checked(WEIGHTS)
    if numbers is None:
        return None
    weights = tuple(map(float, numbers))
    expected = group.top or (None if group.indices is None else len(group.indices))
    if expected is not None and len(weights) != expected:
        raise BindError(f"there are {len(weights)} weights for {expected} neurons")
    return weights
