"""Make TPC-H data as Parquet: `python -m tensorsql.tpch.generate --scale 0.1 [--output DIR]`."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tensorsql import errors
from tensorsql.tpch.statements import HERE, TABLES

DATA = HERE / "data"


def tables(scale: float, directory: Path = DATA) -> dict[str, Path]:
    """The Parquet file of each table at a scale factor, generated at the first call.

    The files appear by one rename, so that an interrupted run leaves nothing half-made.
    """
    target = directory / f"sf{scale:g}"
    if not target.is_dir():
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory) as scratch:
            made = Path(scratch) / "made"
            _generate(scale, made)
            made.rename(target)
    return {name: target / f"{name}.parquet" for name in TABLES}


def _generate(scale: float, directory: Path) -> None:
    command = [_program(), "parquet", "--scale-factor", f"{scale:g}"]
    command += ["--output-dir", str(directory)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode != 0:
        raise errors.IOError(f"tpchgen-cli failed: {finished.stderr.strip()}")


def _program() -> str:
    """tpchgen-cli of the environment that runs us, even when it is not on the path."""
    beside = Path(sys.executable).with_name("tpchgen-cli")
    program = str(beside) if beside.exists() else shutil.which("tpchgen-cli")
    if program is None:
        raise errors.IOError("tpchgen-cli is not installed; run pip install 'tensorsql[test]'")
    return program


def main(arguments: list[str] | None = None) -> int:
    """Generate all tables and print where they are."""
    parser = argparse.ArgumentParser(prog="tensorsql.tpch.generate", description=__doc__)
    parser.add_argument("--scale", type=float, default=0.1, help="scale factor (default 0.1)")
    parser.add_argument("--output", type=Path, default=DATA, help=f"directory (default {DATA})")
    options = parser.parse_args(arguments)
    try:
        files = tables(options.scale, options.output)
    except errors.Error as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for path in files.values():
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
