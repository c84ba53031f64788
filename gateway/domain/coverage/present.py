"""Everything about the present of coverage that people can ask."""

from dataclasses import dataclass, field
from datetime import datetime

from gateway.domain.coverage.figures import CoverageBy, Divided, PlaceFacts
from gateway.domain.coverage.live import CoverageState
from gateway.domain.coverage.model import Floats
from gateway.domain.coverage.sight import SightBook
from gateway.domain.coverage.trust import BoundedPart, Trust


@dataclass(frozen=True)
class CameraFacts:
    """What is told of cameras, in the order of `CoverageModel.channels`.

    Attributes:
        node: the access node each hangs on.
    """

    name: tuple[str, ...] = ()
    township: tuple[str, ...] = ()
    node: tuple[str, ...] = ()
    node_name: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Present:
    """What the coverage thread owns; whoever asks reads it there and keeps nothing of it.

    Attributes:
        designed_m2: (cells,) area that views cover as designed; zeros until it is known.
        import_id: the newest import in it.
        as_of_at: of the newest batch in it.
        built_at: when the model was taken.
        trust: how far to rely on the model; None until that is known, some seconds after it.
        trust_reason: why it is not coming; empty = it is there, or still being computed.
        bounded: bounds of parts as they were first asked for; they change with the model alone.
    """

    state: CoverageState
    book: SightBook
    places: PlaceFacts
    cameras: CameraFacts
    divided: Divided
    designed_m2: Floats
    import_id: str
    as_of_at: datetime
    built_at: datetime
    trust: Trust | None = None
    trust_reason: str = ""
    bounded: dict[CoverageBy, list[BoundedPart]] = field(default_factory=dict)
