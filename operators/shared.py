"""With and Reference: shared subplans, each run once by its own pipeline if anything reads it."""

from __future__ import annotations

from tensorsql.errors import InternalError
from tensorsql.operators.project import ProjectRecipe
from tensorsql.operators.runtime.streams import Compiler, Stream, input_numbers
from tensorsql.planner.plans.logical import Reference, With


def compile_with(plan: With, node: int, compiler: Compiler) -> Stream:
    """The body's stream; definitions are compiled when a reference meets them."""
    numbers = input_numbers(plan, node)
    for (shared, _, definition), number in zip(plan.definitions, numbers, strict=False):
        compiler.shared[shared] = (definition, number)
    return compiler.compile(plan.body, numbers[-1])


def compile_reference(plan: Reference, node: int, compiler: Compiler) -> Stream:
    """A stream over the definition's rows under this reference's ids."""
    if plan.shared not in compiler.shared:
        raise InternalError(f'nothing defines the shared plan "{plan.name}"')
    definition, number = compiler.shared[plan.shared]
    if plan.shared not in compiler.materialized:
        stream = compiler.compile(definition, number)
        compiler.materialized[plan.shared] = compiler.collect(stream, number, definition.fields)
    stream = compiler.reopen(compiler.materialized[plan.shared], node)
    sources = {field.id: field for field in definition.fields}
    assignments = tuple((field.id, sources[source].ref()) for field, source in plan.columns)
    # Counted as the source already: the renaming itself is no node's.
    return stream.then(ProjectRecipe(UNCOUNTED, assignments))


UNCOUNTED = -1
