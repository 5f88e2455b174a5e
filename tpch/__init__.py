"""TPC-H: the schema, the 22 queries, data made by tpchgen-cli, and a benchmark beside DuckDB."""
