"""Every metric of every service. Base units, ``_total`` on counters, no ids in labels."""

from prometheus_client import Counter, Gauge, Histogram

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

# The stage of every worker.
STAGE_TURN = Histogram(
    "regulars_stage_turn_seconds",
    "Time of one step of a turn: handle, commit, publish, or the whole.",
    ["stage", "step"],
    buckets=SECONDS,
)
STAGE_BATCH = Histogram(
    "regulars_stage_batch_records",
    "Records taken in one turn.",
    ["stage"],
    buckets=(1, 5, 20, 100, 500, 1_000, 2_000),
)
STAGE_RECORDS = Counter(
    "regulars_stage_records_total",
    "Records by outcome: handled, or replayed (dropped by origin and seq).",
    ["stage", "outcome"],
)
STAGE_DROPPED = Counter(
    "regulars_stage_dropped_total", "Records that needed no handling.", ["stage", "reason"]
)
STAGE_LAG = Gauge(
    "regulars_stage_lag_records", "Records not handled yet in owned partitions.", ["stage", "topic"]
)
STAGE_PARTITIONS = Gauge("regulars_stage_partitions", "Partitions owned.", ["stage"])
STAGE_REPLAYS = Counter(
    "regulars_stage_replays_total", "Outbox records published again by a new owner.", ["stage"]
)
STAGE_FENCED = Counter(
    "regulars_stage_fenced_total", "Turns refused because another worker owns it.", ["stage"]
)
STAGE_DEAD_LETTERS = Counter(
    "regulars_stage_dead_letters_total", "Records sent to a dead-letter topic.", ["stage", "reason"]
)
STAGE_RETRIES = Counter(
    "regulars_stage_retries_total",
    "Turns tried again: conflict, too_large, poisoned, fenced, unknown, unavailable, failed.",
    ["stage", "cause"],
)
STAGE_TIMERS = Counter("regulars_stage_timers_total", "Timers fired.", ["stage"])
STAGE_TIMER_DELAY = Histogram(
    "regulars_stage_timer_delay_seconds",
    "From a timer's instant to the turn that fires it.",
    ["stage"],
    buckets=SECONDS,
)
