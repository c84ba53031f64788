"""`sightline probe`: ask one device, step by step, or survey the whole archive."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.progress import Progress
from rich.table import Table

from gateway.commands.audited import audit_line
from gateway.commands.options import (
    ConfigOption,
    JsonOption,
    counted,
    out,
    print_json,
    run_async,
    settings_from,
)
from gateway.domain.camera import Camera, ChannelId, CheckBy, Device
from gateway.domain.ledger import Changes
from gateway.domain.observation import Answer, Instant, Step, Verdict
from gateway.domain.survey import Proposal, propose, questions
from gateway.errors import UsageError
from gateway.inventory import Inventory
from gateway.opening import credentials_of, make_probes, open_store
from gateway.ports import Probe, ProbeContext, Store
from gateway.registry import get
from gateway.runtime.clock import SystemClock
from gateway.settings import Settings

EXPLAIN_S = 15.0
SURVEY_AT_ONCE = 200
MARKS = {True: "[green]✓[/]", False: "[red]✗[/]", None: "·"}


def probe(
    camera: Annotated[
        str, typer.Argument(help="Archive id of a camera (or the start of it).")
    ] = "",
    explain: Annotated[
        bool, typer.Option(help="Walk the whole ladder and print each step with its time.")
    ] = True,
    survey: Annotated[
        bool, typer.Option(help="Ask every device and propose `check_by` where ONVIF fails.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask one camera of the archive: TCP, TLS, HTTP, SOAP, clock, login, identity.

    Only cameras of the archive can be asked, never a free address. Exit code 1: it does not answer; 2: no
    single camera of the archive has this id or starts so.
    """
    settings = settings_from(config)
    if survey:
        run_async(_survey(settings, as_json=as_json))
    elif camera:
        run_async(_probe(settings, camera, explain=explain, as_json=as_json))
    else:
        raise UsageError("name a camera of the archive, or use --survey")


async def _context(store: Store, settings: Settings) -> tuple[Inventory, ProbeContext, int]:
    """The archive, what a probe is built with, and the sequence the store stands at."""
    inventory = await store.load_inventory(shapes=False)
    state = await store.load_live()
    context = ProbeContext(
        clock=SystemClock(),
        credentials=await credentials_of(store, settings),
        connect_s=settings.poll.connect_s,
        check_s=settings.poll.check_s,
        memory=dict(state.memories),
        clock_limit_s=settings.judge.clock_limit_s,
    )
    return inventory, context, state.sequence


def find_camera(inventory: Inventory, text: str) -> Camera:
    """The camera of an id, or the only one whose id starts so.

    Raises:
        UsageError: there is none, or more than one.
    """
    if ChannelId(text) in inventory.cameras:
        return inventory.cameras[ChannelId(text)]
    found = [c for c in inventory.cameras.values() if c.id.startswith(text)]
    if len(found) != 1:
        raise UsageError(f"{len(found)} cameras of the archive start with {text!r}; one is needed")
    return found[0]


async def _probe(settings: Settings, text: str, *, explain: bool, as_json: bool) -> None:
    async with open_store(settings, create=False) as store:
        camera, device, answers = await probe_camera(store, settings, text)
    if as_json:
        print_json(
            {"camera": camera.id, "device": device.id, "answers": [asdict(a) for a in answers]}
        )
    else:
        _print(camera, device, answers if explain else answers[-1:])
    if not answers or answers[0].verdict is not Verdict.ANSWERED:
        raise typer.Exit(1)


async def probe_camera(
    store: Store, settings: Settings, text: str
) -> tuple[Camera, Device, Sequence[Answer]]:
    """Walk the whole ladder for one camera, and write down what was learned about its device.

    A refused login counts for everybody who asks later: at most two reach a device in 31 minutes
    (semantics §7), however often this is called. The batch holds nothing but that memory, and the
    stored sequence never falls: a service that runs beside us is not disturbed.

    Raises:
        UsageError: no camera of the archive has this id, or several have this beginning of one.
    """
    inventory, context, sequence = await _context(store, settings)
    camera = find_camera(inventory, text)
    device = inventory.devices[camera.device]
    await audit_line(store, "camera.probe", camera.id, result="accepted")
    asked = make_probes(context)[device.check_by]
    try:
        answers = await asked.explain(device, Instant(context.clock.now() + EXPLAIN_S))
    finally:
        await asked.close()
    learned = [answer.memory for answer in answers if answer.memory is not None]
    if learned:
        await store.commit(Changes(sequence, memories=((device.id, learned[-1]),)))
    return camera, device, answers


def _print(camera: Camera, device: Device, answers: Any) -> None:  # noqa: ANN401 - answers
    out.print(f"[bold]{camera.name}[/]  {camera.id}  {device.id}  ({device.check_by})")
    for answer in answers:
        table = Table(title=f"step {answer.step.value} · {answer.step.name.lower()}", min_width=78)
        table.add_column("")
        table.add_column("what")
        table.add_column("ms", justify="right")
        table.add_column("found")
        for step in answer.chain:
            table.add_row(MARKS[step.ok], step.name, f"{step.ms:.1f}", step.detail)
        out.print(table)
        found = ", ".join(f"{f.cause}: {f.detail}" for f in answer.found) or "no fault"
        offset = answer.clock_offset_s
        clock = "" if offset is None else f", clock {offset:+.1f} s"
        out.print(
            f"{answer.verdict} in {(answer.ended - answer.started) * 1000:.0f} ms: {found}{clock}"
        )


async def _survey(settings: Settings, *, as_json: bool) -> None:
    async with open_store(settings, create=False) as store:
        inventory, context, _ = await _context(store, settings)
        devices = counted(len(inventory.watched), "device")
        await audit_line(store, "survey", devices, result="accepted")
    probes = {way: get("sightline.probes", way.value)(context) for way in CheckBy}
    gate = asyncio.Semaphore(SURVEY_AT_ONCE)
    found: list[tuple[Device, Proposal]] = []
    with Progress(console=out, disable=as_json) as progress:
        bar = progress.add_task("asking", total=len(inventory.watched))

        async def one(device: Device) -> None:
            async with gate:
                proposal = await survey_device(device, probes, context)
            if proposal.changes or proposal.check_by is None:
                found.append((device, proposal))
            progress.advance(bar)

        await asyncio.gather(*(one(d) for d in inventory.watched))
    for asked in probes.values():
        await asked.close()
    _print_survey(found, len(inventory.watched), as_json=as_json)


async def survey_device(
    device: Device, probes: dict[CheckBy, Probe], context: ProbeContext
) -> Proposal:
    """Ask a device one way after the other until something can be proposed."""
    asked: list[tuple[Device, Answer]] = []
    for question in questions(device):
        deadline = Instant(context.clock.now() + context.check_s)
        answer = await probes[question.check_by].check(question, Step.REACH, deadline)
        asked.append((question, answer))
        proposal = propose(device, asked)
        if proposal is not None:
            return proposal
    return Proposal(None, device.port, changes=False, reason="nothing answered")


def _print_survey(found: list[tuple[Device, Proposal]], asked: int, *, as_json: bool) -> None:
    if as_json:
        rows = [
            {
                "device": d.id,
                "check_by": d.check_by,
                "proposed": p.check_by,
                "port": p.port,
                "reason": p.reason,
            }
            for d, p in found
        ]
        print_json({"asked": asked, "proposals": rows})
        return
    table = Table("device", "now", "proposed", "why")
    for device, proposal in found:
        table.add_row(device.id, device.check_by, proposal.check_by or "-", proposal.reason)
    out.print(table)
    counts = Counter(str(p.check_by or "nothing answers") for _, p in found)
    told = "".join(f"; {way} {number}" for way, number in sorted(counts.items()))
    out.print(f"{counted(asked, 'device')} asked, {counted(len(found), 'proposal')}{told}")
