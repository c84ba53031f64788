"""Makes the request templates with zeep and onvif-zeep's WSDLs, as a program of its own.

zeep and three WSDLs cost 65 MB and half a second: the service starts this once, at the first signed
check, reads the templates from its output, and never imports zeep. Run: `python -m
adapters.onvif.templates`; prints one JSON object.

onvif-zeep is only the carrier of the WSDLs: its `ONVIFCamera` is never built (each one costs 0.2 s,
5.9 MB and a leaked event subscription).
"""

import datetime
import importlib
import importlib.metadata
import json
import sys
from typing import Any

MARKS = {
    "username": "@@username@@",
    "digest": "@@digest@@",
    "nonce": "@@nonce@@",
    "created": "@@created@@",
    "token": "@@token@@",
}
"""What stands in a template where a value belongs."""

MEDIA2 = "http://www.onvif.org/ver20/media/wsdl"
_NONCE = "bm9uY2U="  # base64 of the nonce that zeep is given below
_CREATED = datetime.datetime(2001, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)
_BINDINGS = {
    "device": ("devicemgmt.wsdl", "{http://www.onvif.org/ver10/device/wsdl}DeviceBinding"),
    "media": ("media.wsdl", "{http://www.onvif.org/ver10/media/wsdl}MediaBinding"),
}
_STREAM_SETUP = {"Stream": "RTP-Unicast", "Transport": {"Protocol": "RTSP"}}
_OPERATIONS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("device", "GetSystemDateAndTime", {}),
    ("device", "GetDeviceInformation", {}),
    ("device", "GetNetworkInterfaces", {}),
    ("device", "GetServices", {"IncludeCapability": False}),
    ("device", "GetCapabilities", {"Category": ["All"]}),
    ("media", "GetProfiles", {}),
    ("media", "GetStreamUri", {"StreamSetup": _STREAM_SETUP, "ProfileToken": MARKS["token"]}),
)


def wsdl_path(name: str) -> str:
    """Where onvif-zeep put a WSDL (a top-level `wsdl/` folder beside the packages)."""
    for file in importlib.metadata.files("onvif-zeep") or ():
        if file.name == name and file.parent.name == "wsdl":
            return str(file.locate())
    raise FileNotFoundError(f"onvif-zeep was installed without its {name}")


def clients() -> dict[str, Any]:
    """A zeep client for each service; strict about what it reads."""
    zeep: Any = importlib.import_module("zeep")

    settings = zeep.Settings(
        strict=False, forbid_dtd=True, forbid_entities=True, forbid_external=True
    )
    return {
        name: zeep.Client(wsdl_path(wsdl), settings=settings)
        for name, (wsdl, _) in _BINDINGS.items()
    }


def binding(client: Any, service: str) -> Any:  # noqa: ANN401 - zeep is untyped
    """The binding that builds and reads messages of a service."""
    return client.wsdl.bindings[_BINDINGS[service][1]]


def build() -> dict[str, dict[str, str]]:
    """`operation -> {action, plain, signed}`; media2 operations are called `media2.<name>`."""
    from lxml import etree

    made: dict[str, dict[str, str]] = {}
    clients_ = clients()
    for service, operation, values in _OPERATIONS:
        bound = binding(clients_[service], service)
        action = bound.get(operation).soapaction
        envelopes = []
        for sign in (False, True):
            envelope, _ = bound._create(  # noqa: SLF001 - what zeep's own create_message calls
                operation, (), dict(values), client=clients_[service], options={"address": ""}
            )
            if sign:
                _sign(envelope)
            envelopes.append(_printed(etree.tostring(envelope)))
        made[operation] = {"action": action, "plain": envelopes[0], "signed": envelopes[1]}
    made.update(_media2(made["GetDeviceInformation"]))
    return made


def _sign(envelope: Any) -> None:  # noqa: ANN401 - zeep is untyped
    """A minimal UsernameToken: no Timestamp, no mustUnderstand (quirk 5), Z (quirk 3)."""
    username: Any = importlib.import_module("zeep.wsse.username")
    username.UsernameToken(
        MARKS["username"],
        password_digest=MARKS["digest"],
        use_digest=True,
        nonce="nonce",
        created=_CREATED,
        zulu_timestamp=True,
    ).apply(envelope, {})


def _printed(envelope: bytes) -> str:
    text = envelope.decode()
    text = text.replace(_NONCE, MARKS["nonce"])
    return text.replace("2001-02-03T04:05:06Z", MARKS["created"])


def _media2(pattern: dict[str, str]) -> dict[str, dict[str, str]]:
    """The two media2 calls, by hand: onvif-zeep carries no ver20 media WSDL."""
    bodies = {
        "GetProfiles": f'<ns0:GetProfiles xmlns:ns0="{MEDIA2}"/>',
        "GetStreamUri": (
            f'<ns0:GetStreamUri xmlns:ns0="{MEDIA2}"><ns0:Protocol>RTSP</ns0:Protocol>'
            f"<ns0:ProfileToken>{MARKS['token']}</ns0:ProfileToken></ns0:GetStreamUri>"
        ),
    }
    made = {}
    for operation, body in bodies.items():
        texts = {}
        for kind in ("plain", "signed"):
            head, _, rest = pattern[kind].partition("<soap-env:Body>")
            _, _, tail = rest.partition("</soap-env:Body>")
            texts[kind] = f"{head}<soap-env:Body>{body}</soap-env:Body>{tail}"
        made[f"media2.{operation}"] = {"action": f"{MEDIA2}/{operation}", **texts}
    return made


if __name__ == "__main__":
    sys.stdout.write(json.dumps(build()))
