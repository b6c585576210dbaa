"""The embedded stack: a real MongoDB and a real Apache Kafka, without Docker or root.

`stack.LocalStack` starts both; `python -m deploy.local up` does it from a terminal. Services
do not know of it: they are given two addresses, as of any other cluster.

Environment, all of it optional:

    REGULARS_LOCAL_DATA         data directory of the command line (.data/local)
    REGULARS_LOCAL_KAFKA_PORT   19092; Kafka's controller takes the next one
    REGULARS_LOCAL_MONGO_PORT   27117
    REGULARS_CACHE              where Kafka's jars are kept (the user's cache directory)
    REGULARS_MAVEN              a mirror to fetch them from (Maven Central)
"""
