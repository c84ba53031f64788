"""Settings: TOML file + `SIGHTLINE_SECTION__KEY` + `SIGHTLINE_SECTION__KEY_FILE` for secrets.

Order of precedence: environment, then `*_FILE`, then the TOML file, then the defaults below. All
problems are reported at once, each with its key and reason.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from gateway.errors import SettingsError

MAX_PORT = 65_535
Seconds = Annotated[float, Field(gt=0, le=86_400)]


def default_state_dir() -> Path:
    """Where the service keeps its own files: `/var/lib/sightline` for root, else below the home."""
    if os.geteuid() == 0:
        return Path("/var/lib/sightline")
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser() / "sightline"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StoreSettings(_Section):
    """The system of record."""

    dsn: SecretStr = Field(
        SecretStr(""), description="PostgreSQL DSN; empty = embedded; `memory:` keeps nothing"
    )
    state_dir: Path = Field(
        default_factory=default_state_dir, description="data of the embedded store, keys, sockets"
    )
    command_timeout_s: Seconds = Field(5.0, description="limit of one statement")
    audit_days: int = Field(400, ge=183, description="retention of the audit log, days")
    rollup_days: int = Field(
        1096,
        ge=31,
        description="retention, days: daily roll-ups, and what is closed of blind spots, places, "
        "incidents of events, alerts, work orders, postures and mutes",
    )
    event_days: int = Field(90, ge=1, description="retention of single events, days")


class NetworkSettings(_Section):
    """Where the devices and the canaries are."""

    virtual: bool = Field(
        default=False, description="allow loopback addresses: the virtual district"
    )
    canaries: tuple[str, ...] = Field(
        (), description="`host:port` on the gateway's side (first hop, core switch): the witnesses"
    )

    @field_validator("canaries")
    @classmethod
    def _are_addresses(cls, canaries: tuple[str, ...]) -> tuple[str, ...]:
        for address in canaries:
            host, _, port = address.rpartition(":")
            if not host or not port.isdecimal() or not 0 < int(port) <= MAX_PORT:
                msg = f"{address!r} is not host:port"
                raise ValueError(msg)
        return canaries


class PollSettings(_Section):
    """How devices are asked."""

    cadence_s: Seconds = Field(30.0, description="routine interval of the liveness check")
    heightened_cadence_s: Seconds | None = Field(
        None,
        description="interval where the posture is heightened; default: half of cadence_s, but not "
        "below check_s",
    )
    signed_every_s: Seconds = Field(3600.0, description="interval of the signed check")
    connect_s: Seconds = Field(2.0, description="limit for connecting")
    check_s: Seconds = Field(3.0, description="limit for a whole check")
    recheck_s: Seconds = Field(5.0, description="interval of the re-checks of a suspect")
    recheck_rate: int = Field(400, ge=1, description="re-checks a second, at most, in the process")
    slots: int = Field(2048, ge=1, description="checks in flight, healthy devices")
    dead_slots: int = Field(2048, ge=1, description="checks in flight, devices not answering")
    per_uplink: int = Field(256, ge=1, description="healthy checks in flight below one uplink")
    kept_connections: int = Field(14_000, ge=0, description="idle connections kept at most")

    @property
    def heightened_s(self) -> float:
        """The interval of the liveness check where the posture is heightened."""
        if self.heightened_cadence_s is not None:
            return self.heightened_cadence_s
        return min(self.cadence_s, max(self.cadence_s / 2, self.check_s))

    def still_s(self, cadences: int) -> float:
        """How long no check may end before something is wrong: some cadences.

        A signed check alone may take four times `check_s`: with a short cadence that is what counts.
        """
        return max(cadences * self.cadence_s, 8 * self.check_s)


class JudgeSettings(_Section):
    """How answers become states."""

    confirm_failures: int = Field(3, ge=2, description="failures in a row before offline")
    confirm_span_s: Seconds = Field(10.0, description="from first start to last end, at least")
    blind_after_s: Seconds = Field(15.0, description="no witness for so long: the gateway is blind")
    flap_losses: int = Field(4, ge=2, description="confirmed losses in the window: flapping")
    flap_window_s: Seconds = Field(1800.0, description="window of the flapping rule")
    flap_calm_s: Seconds = Field(600.0, description="unbroken good answers that end flapping")
    node_children: int = Field(3, ge=2, description="suspects below one node that accuse it")
    node_window_s: Seconds = Field(10.0, description="within so many seconds")
    node_siblings: int = Field(16, ge=1, description="siblings checked at once, at most")
    clock_limit_s: Seconds = Field(10.0, description="device clock offset that is a fault")
    stall_s: Seconds = Field(1.0, description="loop stall that voids the checks it overlapped")
    rollup_every_s: Seconds = Field(
        300.0, description="every channel's roll-up is written so often"
    )
    breaker_devices: int = Field(
        20, ge=2, description="refusing devices that stop a credential set"
    )
    breaker_window_s: Seconds = Field(600.0, description="within so many seconds")


class CoverageSettings(_Section):
    """What cannot be seen."""

    enabled: bool = Field(default=True, description="keep the ledger of blind spots")
    recount_at: str = Field(
        "03:30",
        pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$",
        description="when coverage is counted again from scratch, Asia/Shanghai",
    )
    edition: Literal["2015", "2025"] = Field(
        "2015",
        description="edition of IEC 62676-4 whose pixel densities count (config/pixel_density.toml)",
    )
    visit_m: float = Field(
        15.0,
        ge=0,
        le=1_000,
        description="cameras so near to each other are one visit, and no backup of each other",
    )

    @property
    def recount_s(self) -> float:
        """`recount_at` in seconds after midnight."""
        hours, minutes = self.recount_at.split(":")
        return 3600.0 * int(hours) + 60.0 * int(minutes)


class EventSettings(_Section):
    """Signals of devices and sensors, and what becomes of them."""

    rules: Path | None = Field(
        None, description="alert rules; default: those that come with Sightline"
    )
    pull: bool = Field(
        default=True, description="pull the events of ONVIF devices; answers spare liveness checks"
    )
    push_address: str = Field(
        "",
        pattern=r"^(https?://[^\s/?#@]+)?$",
        description="where devices reach this gateway, `http://10.8.0.5:8080`; empty = none pushes",
    )
    push_vendors: tuple[str, ...] = Field(
        (),
        description="manufacturers (as in the archive) whose devices push instead of being pulled",
    )
    push_devices: tuple[str, ...] = Field(
        (), description="devices that push: `address:port`, or the id of a channel"
    )
    push_key_file: Path | None = Field(
        None,
        description="file whose secret makes the devices' paths; default: <state_dir>/push.key",
    )
    push_proxies: tuple[str, ...] = Field(
        (), description="addresses of proxies that are believed who the sender is (X-Forwarded-For)"
    )
    source: str = Field(
        "sightline://610802",
        pattern="^sightline://[0-9A-Za-z._/-]+$",
        description="names this gateway in messages to the center",
    )
    nearest: int = Field(
        5, ge=0, le=50, description="grid cells linked beside the one that holds the place"
    )
    radius_m: float = Field(
        2000.0, ge=0, le=20_000, description="and not farther away than so many metres"
    )
    storm_rows: int = Field(
        20, ge=1, description="rows of one source and minute; above it signals are only counted"
    )
    rows_most: int = Field(
        5_000, ge=100, description="rows that wait for the store before sources have to wait"
    )
    deliver_s: Seconds = Field(30.0, description="how long a source waits for the store")

    @field_validator("push_proxies")
    @classmethod
    def _are_ip_addresses(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(ip_address(proxy)) for proxy in proxies)

    @model_validator(mode="after")
    def _can_be_reached(self) -> "EventSettings":
        if (self.push_vendors or self.push_devices) and not self.push_address:
            msg = "push_address: name the address that the pushing devices are to send to"
            raise ValueError(msg)
        return self


class CenterSettings(_Section):
    """The comprehensive-management center that is told."""

    url: str = Field(
        "",
        pattern=r"^(https?://\S+)?$",
        description="where alerts are sent; empty = only the feed `/api/v1/alerts` has them",
    )
    secret_file: Path | None = Field(None, description="file with the signing secret (`whsec_...`)")
    previous_secret_file: Path | None = Field(
        None, description="file with the secret before it, while both are valid"
    )
    ca_file: Path | None = Field(
        None, description="certificates that vouch for the center; default: those of the system"
    )
    timeout_s: Seconds = Field(10.0, description="limit of one delivery, its answer included")
    rate_per_s: float = Field(
        50.0, gt=0, le=1_000, description="messages a second, also after an outage of the center"
    )
    parallel: int = Field(8, ge=1, le=64, description="deliveries at the same time")
    heartbeat_s: Seconds = Field(60.0, description="a sign of life to the center so often")


class RecipientSettings(CenterSettings):
    """One more that is told by signed messages: who an overdue incident is escalated to, for one."""

    url: str = Field(pattern=r"^https?://\S+$", description="where its alerts are sent; needed")


CENTER = "center"
"""The recipient that `[center]` stands for."""
RECIPIENT = re.compile("[a-z][a-z0-9-]{0,31}")
TAKEN_NAMES = frozenset({CENTER, "feed"})


class MqttSettings(_Section):
    """The broker that sensors publish to."""

    host: str = Field("", description="MQTT v5 broker of the sensors; empty = none")
    port: int = Field(1883, ge=1, le=MAX_PORT, description="port of the broker")
    topics: tuple[str, ...] = Field((), description="patterns to subscribe to, with + and #")
    client_id: str = Field(
        "sightline", min_length=1, max_length=64, description="of our session; nobody else's"
    )
    share: str = Field(
        "", pattern="^[^/+#]*$", description="name of a shared subscription; empty = none"
    )
    tls: bool = Field(default=False, description="speak TLS with the broker")
    ca_file: Path | None = Field(
        None, description="certificates to trust; default: those of the system"
    )
    username: str = Field("", description="user name at the broker; empty = none")
    password: SecretStr = Field(
        SecretStr(""), description="password at the broker; better in a file: `..._PASSWORD_FILE`"
    )
    keepalive_s: int = Field(30, ge=5, le=3_600, description="interval of signs of life")
    session_s: int = Field(
        604_800, ge=60, description="how long the broker keeps messages while we are away, seconds"
    )
    in_flight: int = Field(
        1000, ge=1, le=MAX_PORT, description="messages waiting to be stored and acknowledged"
    )

    @model_validator(mode="after")
    def _asks_for_something(self) -> "MqttSettings":
        if self.host and not self.topics:
            msg = "topics: name at least one when host is set"
            raise ValueError(msg)
        return self


class IntakeSettings(_Section):
    """What sensors and other systems send."""

    mapping: Path | None = Field(
        None, description="how messages of sensors are read; default: config/sensors.toml"
    )
    secrets_dir: Path | None = Field(
        None, description="folder of `<source>.secret`; default: the HTTP intake is off"
    )
    rate: int = Field(600, ge=1, description="messages a minute of each source over HTTP")


class WebSettings(_Section):
    """HTTP."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8080, ge=0, le=MAX_PORT, description="port to listen on; 0 = any free one")
    device_metrics: bool = Field(default=False, description="serve /metrics/devices")
    check_rate: int = Field(60, ge=1, description="`check now` requests a minute, per token")


class KeySettings(_Section):
    """Keys for secrets at rest, newest first."""

    file: Path | None = Field(
        None, description="file of Fernet keys, a line each; default: <state_dir>/keys"
    )


class LogSettings(_Section):
    """Logs."""

    level: str = Field("info", pattern="^(debug|info|warning|error)$", description="lowest level")
    format: str = Field(
        "auto", pattern="^(auto|json|console)$", description="auto: JSON off a terminal"
    )


class _Environment(EnvSettingsSource):
    """The environment without the names that point to files: `load` has read those."""

    def __call__(self) -> dict[str, Any]:
        """The values by section."""
        return {
            section: {
                k: v
                for k, v in values.items()
                if not k.endswith("_file") or _is_setting(section, k)
            }
            if isinstance(values, dict)
            else values
            for section, values in super().__call__().items()
        }


class Settings(BaseSettings):
    """All settings."""

    model_config = SettingsConfigDict(
        env_prefix="SIGHTLINE_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
    )

    store: StoreSettings = StoreSettings()
    network: NetworkSettings = NetworkSettings()
    poll: PollSettings = PollSettings()
    judge: JudgeSettings = JudgeSettings()
    coverage: CoverageSettings = CoverageSettings()
    events: EventSettings = EventSettings()
    center: CenterSettings = CenterSettings()
    recipients: dict[str, RecipientSettings] = Field(default_factory=dict)
    mqtt: MqttSettings = MqttSettings()
    intake: IntakeSettings = IntakeSettings()
    web: WebSettings = WebSettings()
    keys: KeySettings = KeySettings()
    log: LogSettings = LogSettings()

    @field_validator("recipients", mode="before")
    @classmethod
    def _have_names(cls, recipients: object) -> object:
        for name in recipients if isinstance(recipients, dict) else ():
            if name in TAKEN_NAMES:
                msg = f"{name!r} is the name of another one: of [center], or of the feed"
                raise ValueError(msg)
            if not RECIPIENT.fullmatch(str(name)):
                msg = f"{name!r} is no name: a-z, 0-9 and hyphens, 32 at most, a letter first"
                raise ValueError(msg)
        return recipients

    @property
    def known_recipients(self) -> tuple[str, ...]:
        """The names that alert rules may use; `center` also where it has no address (yet)."""
        return (CENTER, *self.recipients)

    @property
    def reached_recipients(self) -> Mapping[str, CenterSettings]:
        """Those that messages are sent to, by name."""
        return ({CENTER: self.center} if self.center.url else {}) | self.recipients

    @model_validator(mode="after")
    def _limits_fit(self) -> "Settings":
        if self.poll.connect_s > self.poll.check_s:
            msg = "poll.connect_s: must not exceed poll.check_s"
            raise ValueError(msg)
        if self.poll.check_s >= self.poll.cadence_s:
            msg = "poll.check_s: must be below poll.cadence_s"
            raise ValueError(msg)
        if not self.poll.check_s <= self.poll.heightened_s <= self.poll.cadence_s:
            msg = "poll.heightened_cadence_s: must lie between poll.check_s and poll.cadence_s"
            raise ValueError(msg)
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - replaced by ours
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file's values, which are passed to the constructor."""
        return _Environment(settings_cls), init_settings


def load(path: Path | None = None, environ: dict[str, str] | None = None) -> Settings:
    """Read the settings.

    Raises:
        SettingsError: with every problem found, each starting with its key.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise SettingsError([f"{path}: cannot be read: {error.strerror}"]) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError([f"{path}: not valid TOML: {error}"]) from error
    _read_secret_files(values, dict(os.environ) if environ is None else environ)
    try:
        return Settings(**values)
    except ValidationError as error:
        raise SettingsError([_problem(e) for e in error.errors()]) from None


def _read_secret_files(values: dict[str, Any], environ: dict[str, str]) -> None:
    for name, file in environ.items():
        if not (name.startswith("SIGHTLINE_") and name.endswith("_FILE") and "__" in name):
            continue
        section, _, key = name.removeprefix("SIGHTLINE_").removesuffix("_FILE").partition("__")
        if key and "__" not in key and not _is_setting(section.lower(), f"{key.lower()}_file"):
            held = values.setdefault(section.lower(), {})
            if not isinstance(held, dict):
                raise SettingsError([f"{section.lower()}: must be a table"])
            try:
                text = Path(file).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise SettingsError([f"{name}: {file}: {error.strerror}"]) from error
            held[key.lower()] = text


def _is_setting(section: str, key: str) -> bool:
    """Some settings name a file themselves: `center.secret_file`."""
    field = Settings.model_fields.get(section)
    model = None if field is None else field.annotation
    return isinstance(model, type) and issubclass(model, BaseModel) and key in model.model_fields


PLAIN = {
    "extra_forbidden": "there is no such setting",
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be less than {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "missing": "is needed",
    "finite_number": "must be a number that ends",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "path_type": "must be a path",
    "tuple_type": "must be a list",
    "model_type": "must be a section of settings",
    "model_attributes_type": "must be a section of settings",
}
"""What pydantic finds, by its names, in words for people."""

_CHOICE = re.compile(r"\^\((?P<words>[\w|]+)\)\$")


def _problem(error: Any) -> str:  # noqa: ANN401 - pydantic's error dictionary
    message = _reason(error)
    if not error["loc"]:  # about several settings: the message names them
        return message
    key = ".".join(str(part) for part in error["loc"])
    shown = error.get("input")
    hidden = "dsn" in key or "password" in key
    secret = hidden or isinstance(shown, dict | BaseModel)
    value = "" if secret or shown is None else f" (is {shown!r})"
    return f"{key}: {message}{value}"


def _reason(error: Any) -> str:  # noqa: ANN401 - pydantic's error dictionary
    context = error.get("ctx", {})
    choice = _CHOICE.fullmatch(str(context.get("pattern", "")))
    if choice is not None:
        return f"must be one of {choice['words'].replace('|', ', ')}"
    plain = PLAIN.get(error["type"])
    if plain is None:
        return str(error["msg"]).removeprefix("Value error, ")
    return plain.format(**context)


def describe() -> list[tuple[str, str, str]]:
    """Every setting as (key, default, meaning), in order."""
    rows: list[tuple[str, str, str]] = []
    for section, outer in Settings.model_fields.items():
        kind, prefix = outer.annotation, section
        if section == "recipients":
            kind, prefix = RecipientSettings, f"{section}.<name>"
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            continue
        for name, field in kind.model_fields.items():
            default = "" if field.default_factory or field.is_required() else field.default
            shown = "" if isinstance(default, SecretStr) or default is None else str(default)
            rows.append((f"{prefix}.{name}", shown, field.description or ""))
    return rows
