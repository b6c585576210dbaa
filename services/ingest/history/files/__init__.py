"""From a file to rows: CSV, NDJSON or Parquet, plain or compressed, as a stream."""
