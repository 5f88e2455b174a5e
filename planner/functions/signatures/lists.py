"""Lists and structs. Positions start at 1, negative ones count from the end."""

from __future__ import annotations

from tensorsql.planner.functions.signatures.result_types import element, first, list_of_arguments
from tensorsql.planner.plans.signature import Signature
from tensorsql.storage.columns.types import BIGINT, BOOLEAN, Kind, list_of, struct

LISTS = (Kind.LIST,)

SIGNATURES = (
    Signature(
        "list_value",
        ("any",),
        list_of_arguments,
        "lists.list_value",
        variadic=True,
        nulls="own",
        unify="all",
    ),
    Signature("length", (LISTS,), BIGINT, "lists.length"),
    Signature("array_length", (LISTS,), BIGINT, "lists.length"),
    Signature("list_extract", (LISTS, BIGINT), element, "lists.list_extract", cost=2.0),
    Signature("list_contains", (LISTS, "any"), BOOLEAN, "lists.list_contains", cost=5.0),
    Signature("contains", (LISTS, "any"), BOOLEAN, "lists.list_contains", cost=5.0),
    *(
        Signature(name, (BIGINT,) * count, list_of(BIGINT), f"series.{kernel}", fallible=True)
        for name, kernel in (("range", "open_series"), ("generate_series", "closed_series"))
        for count in (1, 2, 3)
    ),
    # `resolve.struct_call` gives the field names, `resolve` the option "field".
    Signature(
        "struct_pack",
        ("any",),
        lambda types: struct(*((f"v{place}", each) for place, each in enumerate(types, 1))),
        "lists.struct_pack",
        variadic=True,
        nulls="own",
    ),
    Signature("struct_extract", ((Kind.STRUCT,),), first, "lists.struct_extract"),
)
ALIASES = {
    "len": "length",
    "array_extract": "list_extract",
    "list_has": "list_contains",
    "array_contains": "list_contains",
}
