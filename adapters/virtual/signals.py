"""What a virtual device can tell of itself: signals by name, and how each looks as an ONVIF message."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final
from xml.sax.saxutils import quoteattr


@dataclass(frozen=True, slots=True)
class Signal:
    """One kind of message: its topic and the names of its items.

    Attributes:
        source: name of the item that says which input, source or part.
        data: name of the item that holds the state or reading.
        token: the first of its kind on every device.
        stateful: a property that is told again at a synchronization point; else a moment.
    """

    topic: str
    source: str
    data: str
    token: str
    stateful: bool = True


SIGNALS: Final[Mapping[str, Signal]] = {
    "digital_input": Signal("Device/Trigger/DigitalInput", "InputToken", "LogicalState", "DigitalInput_1"),
    "relay": Signal("Device/Trigger/Relay", "RelayToken", "LogicalState", "Relay_1"),
    "tamper": Signal(
        "RuleEngine/TamperDetector/Tamper", "VideoSourceConfigurationToken", "IsTamper",
        "VideoSourceConfig_1",
    ),
    "signal_loss": Signal("VideoSource/SignalLoss", "VideoSourceToken", "State", "VideoSource_1"),
    "too_dark": Signal("VideoSource/ImageTooDark/ImagingService", "Source", "State", "VideoSource_1"),
    "too_bright": Signal("VideoSource/ImageTooBright/ImagingService", "Source", "State", "VideoSource_1"),
    "too_blurry": Signal(
        "VideoSource/ImageTooBlurry/AnalyticsService", "Source", "State", "VideoSource_1"
    ),
    "scene_change": Signal(
        "VideoSource/GlobalSceneChange/AnalyticsService", "Source", "State", "VideoSource_1"
    ),
    "hardware_failure": Signal("Device/HardwareFailure/FanFailure", "Token", "Failed", "Fan_1"),
    "storage_failure": Signal("Device/HardwareFailure/StorageFailure", "Token", "Failed", "Disk_1"),
    "temperature": Signal("Device/HardwareFailure/TemperatureCritical", "Token", "Critical", "Sensor_1"),
    "motion": Signal("RuleEngine/CellMotionDetector/Motion", "VideoSourceConfigurationToken",
                     "IsMotion", "VideoSourceConfig_1"),
    "motion_alarm": Signal("VideoSource/MotionAlarm", "Source", "State", "VideoSource_1"),
    "field_detection": Signal("RuleEngine/FieldDetector/ObjectsInside",
                              "VideoSourceConfigurationToken", "IsInside", "VideoSourceConfig_1"),
    "line_crossing": Signal("RuleEngine/LineDetector/Crossed", "VideoSourceConfigurationToken",
                            "ObjectId", "VideoSourceConfig_1", stateful=False),
    "face": Signal("RuleEngine/MyRuleDetector/FaceDetect", "Source", "State", "VideoSource_1"),
    "people": Signal("RuleEngine/MyRuleDetector/PeopleDetect", "Source", "State", "VideoSource_1"),
    "visitor": Signal("RuleEngine/MyRuleDetector/Visitor", "Source", "State", "VideoSource_1"),
    "plate": Signal("RuleEngine/LicensePlateDetector/Plate", "Source", "Plate", "VideoSource_1"),
}  # fmt: skip
"""By name. The last four are what cameras offer and Sightline must not take."""


def iso(epoch_s: float) -> str:
    """A time as devices write it."""
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Message:
    """One message: something changed (or is told again after a synchronization point).

    Attributes:
        at: epoch seconds of the device's clock.
        told_at: the time as written, where it is written oddly.
    """

    signal: Signal
    token: str
    value: str
    at: float
    operation: str = "Changed"
    told_at: str = ""
    odd_topic: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What the message is about."""
        return self.signal.topic, self.token

    def again(self) -> "Message":
        """The same, as it is told to a new subscriber."""
        return replace(self, operation="Initialized")

    def xml(self, address: str) -> str:
        """The message as it stands in a reply."""
        operation = f' PropertyOperation="{self.operation}"' if self.signal.stateful else ""
        end = "//." if self.odd_topic else ""
        return (
            f"<wsnt:NotificationMessage><wsnt:SubscriptionReference><wsa5:Address>{address}"
            "</wsa5:Address></wsnt:SubscriptionReference>"
            '<wsnt:Topic Dialect="http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet">'
            f"tns1:{self.signal.topic}{end}</wsnt:Topic><wsnt:Message>"
            f'<tt:Message UtcTime="{self.told_at or iso(self.at)}"{operation}>'
            f'<tt:Source><tt:SimpleItem Name="{self.signal.source}" Value={quoteattr(self.token)}/>'
            f'</tt:Source><tt:Data><tt:SimpleItem Name="{self.signal.data}"'
            f" Value={quoteattr(self.value)}/></tt:Data>"
            "</tt:Message></wsnt:Message></wsnt:NotificationMessage>"
        )
