"""Every metric of every service. Base units, ``_total`` on counters, no ids in labels."""

import os
from bisect import bisect_left
from collections import Counter as Counted
from collections.abc import Collection

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

from services.runtime.fleet import METRICS
from services.runtime.turn import Turn


def exposition() -> bytes:
    """All of them as Prometheus reads them: this process's, or those of its whole fleet."""
    if METRICS not in os.environ:
        return generate_latest()
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


class Crowd(Histogram):
    """A histogram that takes many observations at once, at the cost of one."""

    def observe_all(self, amounts: Collection[float]) -> None:
        """The same as ``observe`` for each."""
        if amounts:
            self._sum.inc(sum(amounts))
            places = Counted(bisect_left(self._upper_bounds, amount) for amount in amounts)
            for place, count in places.items():
                self._buckets[place].inc(count)


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
STAGE_LOST = Counter(
    "regulars_stage_lost_records_total",
    "Records that Kafka's retention had removed before this stage read them.",
    ["stage", "topic"],
)
STAGE_FENCED = Counter(
    "regulars_stage_fenced_total", "Turns refused because another worker owns it.", ["stage"]
)
STAGE_DEAD_LETTERS = Counter(
    "regulars_stage_dead_letters_total", "Records sent to a dead-letter topic.", ["stage", "reason"]
)
STAGE_RETRIES = Counter(
    "regulars_stage_retries_total",
    "Turns tried again: conflict, too_large, poisoned, fenced, unknown, unavailable, ahead, "
    "failed.",
    ["stage", "cause"],
)
STAGE_TIMERS = Counter("regulars_stage_timers_total", "Timers fired.", ["stage"])
STAGE_TIMER_DELAY = Histogram(
    "regulars_stage_timer_delay_seconds",
    "From a timer's instant to the turn that fires it.",
    ["stage"],
    buckets=SECONDS,
)

# Every HTTP API.
HTTP_REQUESTS = Counter(
    "regulars_http_requests_total",
    "Requests by route template (never the path) and status.",
    ["service", "route", "status"],
)
HTTP_SECONDS = Crowd(
    "regulars_http_request_seconds",
    "Time to answer a request.",
    ["service", "route"],
    buckets=SECONDS,
)

INBOUND_MAILS = Counter(
    "regulars_inbound_mails_total",
    "Mails that were brought to the listener, by the code of its answer.",
    ["answer"],
)

# Profile.
COMPUTED_TRAITS = Gauge(
    "regulars_profile_computed_traits",
    "Computed traits: ready (every profile has them) or computing. One worker tells.",
    ["state"],
    multiprocess_mode="max",
)
PROFILES_RECOMPUTED = Counter(
    "regulars_profile_recomputed_total",
    "Profiles brought up to definitions: carried (no history was needed), rebuilt, or left as "
    "they were, since they would be too large to be stored.",
    ["way"],
)

# The notifier.
MESSAGES = Counter(
    "regulars_messages_total",
    "Steps of messages, with why they were skipped or failed.",
    ["state", "reason"],
)
SENDER_HELD = Gauge(
    "regulars_sender_held_messages", "Messages queued or being sent by this process."
)
SENDER_SECONDS = Histogram(
    "regulars_sender_smtp_seconds",
    "From naming the sender to the mail server to its acceptance of the message.",
    buckets=SECONDS,
)
SENDER_WAITS = Counter(
    "regulars_sender_waits_total",
    "Times a message waited because a server was away: profile_away, smtp_away.",
    ["cause"],
)

# Webhooks to other teams.
WEBHOOKS = Counter(
    "regulars_webhooks_total",
    "Attempts by outcome: delivered, failed (tried again), gone (410); given_up: tried no more.",
    ["outcome"],
)
WEBHOOK_SECONDS = Histogram(
    "regulars_webhook_seconds", "From sending a webhook to its answer.", buckets=SECONDS
)
WEBHOOKS_WAITING = Gauge(
    "regulars_webhooks_waiting", "Deliveries on their way; what is beyond waits on Kafka."
)
WEBHOOKS_BEHIND = Gauge(
    "regulars_webhooks_behind_lanes",
    "Partitions of enabled subscriptions that have yet to catch up with the stream.",
)

# Reporting: the business, of all time, read from the tables.
REPORT_PEOPLE = Gauge("regulars_report_people", "People known.")
REPORT_CUSTOMERS = Gauge(
    "regulars_report_customers", "People with at least one order that is not cancelled."
)
REPORT_ORDERS = Gauge("regulars_report_orders", "Orders placed, cancelled ones included.")
REPORT_CANCELLED_ORDERS = Gauge("regulars_report_cancelled_orders", "Orders cancelled.")
REPORT_MONEY = Gauge(
    "regulars_report_money",
    "Money in units of the currency: revenue, refunds, cancellations, net_revenue.",
    ["kind", "currency"],
)
REPORT_FRESH = Gauge(
    "regulars_report_fresh_timestamp_seconds", "When profile changes were last counted."
)

# Ingest.
INGEST_EVENTS = Counter(
    "regulars_ingest_events_total",
    "Events by outcome: accepted, duplicate (within a request), rejected, limited, unavailable.",
    ["outcome"],
)
INGEST_REJECTED = Counter("regulars_ingest_rejected_total", "Events refused, by code.", ["code"])
INGEST_BATCH = Crowd(
    "regulars_ingest_batch_events",
    "Events of one request.",
    buckets=(1, 5, 20, 100, 500, 1_000, 2_500),
)
INGEST_ACK = Crowd(
    "regulars_ingest_ack_seconds",
    "From handing a request's events to the producer to the broker's last acknowledgement.",
    buckets=SECONDS,
)
INGEST_PENDING = Gauge(
    "regulars_ingest_pending_bytes",
    "Events that wait for the broker's acknowledgement.",
    multiprocess_mode="sum",
)
SOURCE_EVENTS = Counter(
    "regulars_ingest_source_events_total",
    "Events by configured source and outcome: accepted, duplicate, rejected, limited, unavailable.",
    ["source", "outcome"],
)
SOURCE_REJECTED = Counter(
    "regulars_ingest_source_rejected_total",
    "Events refused, by configured source and code.",
    ["source", "code"],
)
INGEST_REFUSALS = Counter(
    "regulars_ingest_refusals_total",
    "Refused events: recorded on events.rejected, suppressed (only counted), or lost.",
    ["outcome"],
)
DEAD_LETTERS = Counter(
    "regulars_dead_letters_total",
    "Dead letters: stored, dropped (over the cap of their source), reopened, replayed.",
    ["outcome"],
)
PLAN_VIOLATIONS = Counter(
    "regulars_ingest_plan_violations_total",
    "Rules of tracking plans that events broke, whatever followed; no event: an unknown one.",
    ["plan", "event", "rule"],
)


def turn_taken(stage: str, turn: Turn, records: int, seconds: tuple[float, float]) -> None:
    """Count one turn of a stage: ``records`` read, ``seconds`` to handle and to commit them."""
    for step, took in zip(("handle", "commit"), seconds, strict=True):
        STAGE_TURN.labels(stage, step).observe(took)
    STAGE_BATCH.labels(stage).observe(records)
    STAGE_TIMERS.labels(stage).inc(len(turn.timers))
    for timer in turn.timers:
        delay = (turn.now - timer.due_at).total_seconds()
        STAGE_TIMER_DELAY.labels(stage).observe(delay)
    for reason, count in turn.dropped.items():
        STAGE_DROPPED.labels(stage, reason).inc(count)
    for rejected in turn.rejected:
        STAGE_DEAD_LETTERS.labels(stage, rejected.reason).inc()
    STAGE_RECORDS.labels(stage, "replayed").inc(records - len(turn.records))
    STAGE_RECORDS.labels(stage, "handled").inc(len(turn.records))
