"""Every Prometheus metric, defined once, with help and unit; see docs/guide/metrics.md.

Aggregates only: a camera is never a label here (`/metrics/devices` serves those from kept bytes).
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry(auto_describe=True)

CHECKS = Counter(
    "sightline_checks",
    "Checks of devices by step and verdict",
    ["step", "verdict"],
    registry=REGISTRY,
)
CHECK_SECONDS = Histogram(
    "sightline_check_duration_seconds",
    "Duration of a check, from start to verdict",
    ["step"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 6),
    registry=REGISTRY,
)
LATENESS_SECONDS = Histogram(
    "sightline_check_lateness_seconds",
    "How late a routine check of a healthy device began",
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 15),
    registry=REGISTRY,
)
IN_FLIGHT = Gauge(
    "sightline_checks_in_flight", "Checks under way, by lane", ["lane"], registry=REGISTRY
)
QUEUE = Gauge(
    "sightline_queue_size", "Entries waiting in a bounded queue", ["queue"], registry=REGISTRY
)
QUEUE_FULL = Counter(
    "sightline_queue_full",
    "Times a producer had to wait for a full queue",
    ["queue"],
    registry=REGISTRY,
)
OPEN = Gauge(
    "sightline_ledger_open_rows", "Open rows of the ledger, by kind", ["kind"], registry=REGISTRY
)
ROWS = Counter(
    "sightline_ledger_rows",
    "Rows opened and closed since start",
    ["kind", "change"],
    registry=REGISTRY,
)
CHANNELS = Gauge(
    "sightline_channels",
    "Channels by township and state",
    ["township", "state"],
    registry=REGISTRY,
)
LOOP_LAG_SECONDS = Histogram(
    "sightline_loop_lag_seconds",
    "Delay of the event loop, sampled",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1),
    registry=REGISTRY,
)
BLIND = Gauge("sightline_gateway_blind", "1 while the gateway has no witness", registry=REGISTRY)
ROUND_TIMESTAMP = Gauge(
    "sightline_last_round_completed_timestamp_seconds",
    "When every watched device had last been asked",
    registry=REGISTRY,
)
COMMIT_SECONDS = Histogram(
    "sightline_store_commit_seconds",
    "Duration of a commit",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2, 5),
    registry=REGISTRY,
)
PENDING_ROWS = Gauge(
    "sightline_store_pending_rows", "Changed rows not yet committed", registry=REGISTRY
)
STORE_UP = Gauge("sightline_store_up", "1 while the store answers", registry=REGISTRY)
CONNECTIONS = Gauge("sightline_kept_connections", "Connections kept to devices", registry=REGISTRY)
BREAKERS = Gauge(
    "sightline_signing_breakers_open", "Credential sets whose signing is stopped", registry=REGISTRY
)
RESTARTS = Counter(
    "sightline_stage_restarts", "Restarts of a failed stage", ["stage"], registry=REGISTRY
)
HTTP_REQUESTS = Counter(
    "sightline_http_requests",
    "Requests served, by route and status class",
    ["route", "status"],
    registry=REGISTRY,
)
STREAMS = Gauge("sightline_streams_open", "Open event streams", registry=REGISTRY)
EVENT_MESSAGES = Counter(
    "sightline_event_messages",
    "Messages of devices by source and what became of them",
    ["source", "fate"],
    registry=REGISTRY,
)
PULLS = Counter(
    "sightline_pulls", "Ended pulls of events by outcome", ["outcome"], registry=REGISTRY
)
PULL_POINTS = Gauge(
    "sightline_pull_points", "Pull points of devices by what they do", ["state"], registry=REGISTRY
)
PUSHING_DEVICES = Gauge(
    "sightline_pushing_devices",
    "Devices that are to push their events: heard since the start, or silent",
    ["state"],
    registry=REGISTRY,
)
SUBSCRIBES = Counter(
    "sightline_pull_point_creations",
    "Attempts to create a pull point",
    ["outcome"],
    registry=REGISTRY,
)
COVERAGE_APPLY_SECONDS = Histogram(
    "sightline_coverage_apply_seconds",
    "Time from taking a batch of the judge to the rows of coverage",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5),
    registry=REGISTRY,
)
COVERAGE_PENDING_ROWS = Gauge(
    "sightline_coverage_pending_rows", "Rows of coverage not yet committed", registry=REGISTRY
)
COVERAGE_SHARE = Gauge(
    "sightline_coverage_places_ratio",
    "Weighted share of the listed places, by how they are seen",
    ["seen"],
    registry=REGISTRY,
)
COVERAGE_LOST_AREA = Gauge(
    "sightline_coverage_lost_square_meters",
    "Area that is seen by design and by no camera now",
    registry=REGISTRY,
)
COVERAGE_DIFFERENCE = Gauge(
    "sightline_coverage_recount_difference",
    "How far the running state was from the last recount; more than nothing is an alarm",
    ["what"],
    registry=REGISTRY,
)
RECOUNT_FAILED = Gauge(
    "sightline_coverage_recount_failed",
    "1 = the last attempt to count coverage again came to nothing",
    registry=REGISTRY,
)
RECOUNT_TIMESTAMP = Gauge(
    "sightline_coverage_last_recount_timestamp_seconds",
    "When coverage was last counted again from scratch",
    registry=REGISTRY,
)
EVENTS_SEEN = Counter(
    "sightline_events",
    "Signals that reached the desk by what became of them",
    ["fate"],
    registry=REGISTRY,
)
EVENT_ROWS = Counter("sightline_event_rows", "Rows of signals written", registry=REGISTRY)
EVENT_INCIDENTS = Counter(
    "sightline_event_incidents", "Event incidents opened and closed", ["change"], registry=REGISTRY
)
POSTURES = Gauge(
    "sightline_postures", "Postures that hold now, by level", ["level"], registry=REGISTRY
)
WORK_ORDERS_OVERDUE = Gauge(
    "sightline_work_orders_overdue", "Open work orders whose time is up", registry=REGISTRY
)
EVENTS_WAITING = Gauge(
    "sightline_event_rows_waiting", "Rows of the desk not yet committed", registry=REGISTRY
)
DELIVERIES = Counter(
    "sightline_deliveries",
    "Messages to a recipient by what became of an attempt",
    ["recipient", "outcome"],
    registry=REGISTRY,
)
DELIVERY_PENDING = Gauge(
    "sightline_delivery_pending",
    "Messages that wait in the outbox",
    ["recipient"],
    registry=REGISTRY,
)
DELIVERY_OLDEST_SECONDS = Gauge(
    "sightline_delivery_oldest_seconds",
    "Age of the oldest message that waits",
    ["recipient"],
    registry=REGISTRY,
)
DELIVERY_LATENCY_SECONDS = Histogram(
    "sightline_delivery_latency_seconds",
    "From planning a message to its first attempt",
    ["recipient"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 3600),
    registry=REGISTRY,
)
RECIPIENT_UP = Gauge(
    "sightline_recipient_up", "1 while a recipient answers", ["recipient"], registry=REGISTRY
)
HEARTBEATS = Counter(
    "sightline_heartbeats",
    "Signs of life to a recipient",
    ["recipient", "outcome"],
    registry=REGISTRY,
)
SENSOR_MESSAGES = Counter(
    "sightline_sensor_messages",
    "Messages of sensors by transport and what became of them",
    ["source", "fate"],
    registry=REGISTRY,
)
MQTT_CONNECTED = Gauge(
    "sightline_mqtt_connected", "1 while the broker holds our subscriptions", registry=REGISTRY
)
MQTT_UNACKNOWLEDGED = Gauge(
    "sightline_mqtt_unacknowledged_messages",
    "Messages that wait to be stored and acknowledged",
    registry=REGISTRY,
)
