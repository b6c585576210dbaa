"""``regulars import``: a shop's past, from a file through ingest's public API.

A client: it holds no data of ours and talks to ingest over HTTP like any other. The way of a
row: ``files`` (bytes to rows) -> ``grouping`` (rows to units) -> ``mapping`` (a unit to
events, pure) -> ``batches`` -> ``sending``, with ``resume`` noting how far ingest has
acknowledged; or, in a dry run, ``tally``.
"""
