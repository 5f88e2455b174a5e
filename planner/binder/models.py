"""PREDICT as an expression and as a table function."""

from __future__ import annotations

import dataclasses
import math

from sqlglot import exp

from tensorsql.errors import BindError, nearest, shown
from tensorsql.parser.dialect import position, text_of
from tensorsql.planner.analysis.model_inputs import WHOLE, column_misfit
from tensorsql.planner.binder.base import Binder
from tensorsql.planner.binder.calls import CallParts
from tensorsql.planner.binder.environment import Environment
from tensorsql.planner.functions.resolve import resolve
from tensorsql.planner.plans.expressions import Call, Expression, Literal
from tensorsql.storage.columns import types
from tensorsql.storage.columns.types import Kind, Type
from tensorsql.storage.tables.catalog import ModelEntry


def find_model(environment: Environment, node: exp.Expr) -> ModelEntry:
    """The model a name (or a string) means; BindError with the nearest names."""
    if not _is_name(node):
        raise BindError(f"a model is given by its name, not {text_of(node)}", position(node))
    name = node.name
    named = environment.catalog.model(name) if name else None
    if named is None:
        hint = nearest(name, environment.catalog.model_names())
        raise BindError(f'model "{name}" not found{hint}', position(node))
    return named.record


def _is_name(node: exp.Expr) -> bool:
    if isinstance(node, exp.Column):
        return len(node.parts) == 1 and not isinstance(node.this, exp.Star)
    return isinstance(node, exp.Identifier | exp.Var) or node.is_string


def predict(binder: Binder, parts: CallParts) -> Expression:
    """`PREDICT(m, a, b)` by position, `PREDICT(m, *)` by column name."""
    model, args = _model_and_arguments(binder, parts)
    return predict_call("predict", model, args, prediction_type(model))


def predict_proba(binder: Binder, parts: CallParts) -> Expression:
    """A list of probabilities in the model's class order, or one with `class => 'x'`."""
    named = [item for item in parts.args if isinstance(item, exp.Kwarg)]
    parts = dataclasses.replace(
        parts, args=tuple(item for item in parts.args if not isinstance(item, exp.Kwarg))
    )
    model, args = _model_and_arguments(binder, parts)
    classes = model.options.get("classes")
    if not classes:
        raise BindError(
            f'model "{model.name}" predicts a value, not a class: it has no probabilities'
        )
    if not named:
        return predict_call("predict_proba", model, args, types.list_of(types.DOUBLE))
    chosen = binder.bind(named[0].expression)
    if named[0].name.lower() != "class" or len(named) > 1 or not isinstance(chosen, Literal):
        raise BindError("PREDICT_PROBA has one named argument: class => a label")
    if type(chosen.value) is not type(classes[0]) or chosen.value not in classes:
        hint = nearest(str(chosen.value), map(str, classes))
        raise BindError(f'model "{model.name}" has no class {shown(chosen.value)}{hint}')
    call = predict_call("predict_proba", model, args, types.DOUBLE)
    place = ("class", list(classes).index(chosen.value))
    return dataclasses.replace(call, options=(*call.options, place))


def prediction_type(model: ModelEntry) -> Type:
    """The type of PREDICT; BindError for a model whose output is neither a class nor a number."""
    if model.output is None:
        raise BindError(
            f'model "{model.name}" gives {list(model.running.output)} a row, which is neither a'
            " class nor a number; create it WITH (output = 'raw') to have all of it as a list"
        )
    return model.output


def predict_call(name: str, model: ModelEntry, args: list[Expression], result: Type) -> Call:
    """The call over one TENSOR, or over numbers in the model's order, as many as it takes."""
    if len(args) == 1 and args[0].type.kind is Kind.TENSOR:
        check_tensor(model, args[0].type, str(args[0]))
    elif any(arg.type.kind is Kind.TENSOR for arg in args) or len(args) != _width(model):
        expected = ", ".join(f"{feature} {kind}" for feature, kind in model.inputs)
        raise BindError(
            f'model "{model.name}" takes {_width(model)} numbers or one TENSOR ({expected}), '
            f"not ({', '.join(str(arg.type) for arg in args)})"
        )
    if model.running.element in WHOLE:
        _check_whole(model, args)
    call = resolve(name, args)
    assert isinstance(call, Call)
    return dataclasses.replace(call, type=result, options=(("model", model),))


def _check_whole(model: ModelEntry, args: list[Expression]) -> None:
    """BindError for numbers with fractions where the model takes token ids and their like."""
    for arg in args:
        if arg.type.kind not in (Kind.TENSOR, Kind.NULL) and not arg.type.is_integer:
            raise BindError(f'model "{model.name}" takes whole numbers, "{arg}" is {arg.type}')


def _width(model: ModelEntry) -> int:
    shape = model.inputs[0][1].shape if len(model.inputs) == 1 else ()
    return math.prod(shape) if shape else len(model.inputs)


def check_tensor(model: ModelEntry, kind: Type, name: str) -> None:
    """BindError for a tensor the model does not take: nothing is rescaled or cast silently."""
    reason = column_misfit(model, kind)
    if reason:
        raise BindError(f'model "{model.name}", column "{name}": {reason}')


def inputs_by_name(model: ModelEntry, columns: dict[str, Expression]) -> list[Expression]:
    """The columns that are the model's inputs, by name in any case; a tensor may have any name."""
    if len(model.inputs) == 1 and model.inputs[0][1].kind is Kind.TENSOR:
        tensors = [column for column in columns.values() if column.type.kind is Kind.TENSOR]
        if len(tensors) == 1:
            return tensors
    folded = {name.lower(): column for name, column in columns.items()}
    missing = [feature for feature, _ in model.inputs if feature.lower() not in folded]
    if missing:
        hint = nearest(missing[0], columns)
        raise BindError(f'model "{model.name}" needs a column "{missing[0]}"{hint}')
    return [folded[feature.lower()] for feature, _ in model.inputs]


def _model_and_arguments(binder: Binder, parts: CallParts) -> tuple[ModelEntry, list[Expression]]:
    if not parts.args:
        raise BindError("PREDICT takes a model and its arguments")
    name, *rest = parts.args
    model = find_model(binder.environment, name)
    if len(rest) == 1 and isinstance(rest[0], exp.Star):
        columns = {own: field.ref() for own, field in binder.scope.tables.columns}
        return model, inputs_by_name(model, dict(columns))
    return model, binder.bind_all(rest)
