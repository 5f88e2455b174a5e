"""Masks: pixel counts, areas, boxes and pixelwise aggregates."""

from __future__ import annotations

from tensorsql.planner.plans.signature import Signature
from tensorsql.storage.columns.types import BIGINT, BOX, DOUBLE, INTEGERS, Kind, Type, mask

MASK = (Kind.MASK,)
# Thresholds keep the type they were written in: a DECIMAL literal counts exactly.
NUMBER = (*INTEGERS, Kind.DECIMAL, Kind.REAL, Kind.DOUBLE)
BINARY = mask(1, "bool")


def _same(arguments: tuple[Type, ...]) -> Type:
    return arguments[0]


def _count(name: str, parameters: tuple[object, ...], kernel: str, cost: float) -> Signature:
    return Signature(
        name,
        parameters,  # type: ignore[arg-type]
        BIGINT,
        f"masks.{kernel}",
        nulls="own",
        cost=cost,
        interval="count",
    )


def _box(name: str) -> Signature:
    return Signature(name, (DOUBLE,) * 4, BOX, f"masks.{name}")


SIGNATURES = (
    # cp(mask, lv, uv) counts over the whole mask, cp(mask, box, lv, uv) inside the box.
    _count("cp", (MASK, NUMBER, NUMBER), "cp", 10_000.0),
    _count("cp", (MASK, BOX, NUMBER, NUMBER), "cp_box", 5_000.0),
    _count("area", (MASK,), "area", 2.0),
    _count("area", (MASK, BOX), "area_in", 4.0),
    Signature("area", (BOX,), DOUBLE, "masks.area_of_box"),
    # A threshold follows the mask it belongs to: IOU(a > 0.5, b > 0.5) is iou(a, 0.5, b, 0.5).
    Signature(
        "iou",
        (MASK, NUMBER, MASK, NUMBER),
        DOUBLE,
        "masks.iou",
        nulls="own",
        fallible=True,  # masks of different sizes
        cost=20_000.0,
    ),
    Signature("iou", (MASK, NUMBER, BOX), DOUBLE, "masks.iou_box", nulls="own", cost=10_000.0),
    Signature("iou", (BOX, BOX), DOUBLE, "masks.iou_of_boxes", nulls="own"),
    _box("box_xyxy"),
    _box("box_xywh"),
    _box("box_corners"),
    *(
        Signature(
            f"mask_{kernel}",
            parameters,
            result,
            f"mask_aggregates.{kernel}",
            kind="aggregate",
            cost=20_000.0,
        )
        for kernel in ("intersect", "union")
        for parameters, result in (((MASK,), _same), ((MASK, NUMBER), BINARY))
    ),
    Signature(
        "mask_avg",
        (MASK,),
        mask(1, "float64"),
        "mask_aggregates.mean",
        kind="aggregate",
        cost=20_000.0,
    ),
)
