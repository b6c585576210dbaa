"""The embedded stack: a real MongoDB and a real Apache Kafka, without Docker or root.

`stack.LocalStack` starts both; `python -m deploy.local up` does it from a terminal. Services
do not know of it: they are given two addresses, as of any other cluster.
"""
