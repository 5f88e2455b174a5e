"""The engine below the plans, imported with the first plan that runs: torch takes seconds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tensorsql.errors import ConversionError

if TYPE_CHECKING:
    from tensorsql.operators.runtime.program import Context, Program, Source
    from tensorsql.planner.plans.plan import Plan


def compile_plan(plan: Plan, context: Context) -> Program:
    """The program of an optimized plan; nothing of it runs yet."""
    from tensorsql.operators import compiler

    began = time.perf_counter()
    program = compiler.compile_plan(plan, context)
    context.metrics.whole += time.perf_counter() - began
    return program


def run(program: Program, plan: Plan, context: Context) -> Source:
    """The rows of a plan's program; errors name the place of a value that comes from a file."""
    from tensorsql.operators.expressions.located import located
    from tensorsql.operators.runtime import scheduler

    began = time.perf_counter()
    try:
        return scheduler.run(program, context)
    except ConversionError as error:
        raise located(error, plan) from None
    finally:
        context.metrics.whole += time.perf_counter() - began
