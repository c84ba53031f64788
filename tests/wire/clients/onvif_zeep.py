"""Drives a device with onvif-zeep's own ONVIFCamera; prints what it got as one JSON object.

A process of its own: the package configures logging on import and has no time-outs by itself.
"""

import json
import sys
import warnings

warnings.simplefilter("ignore")

from onvif import ONVIFCamera  # noqa: E402
from zeep.transports import Transport  # noqa: E402


def main(host: str, port: str, user: str, password: str) -> None:
    transport = Transport(timeout=10, operation_timeout=10)  # type: ignore[no-untyped-call]
    camera = ONVIFCamera(host, int(port), user, password, adjust_time=True, transport=transport)
    clock = camera.devicemgmt.GetSystemDateAndTime().UTCDateTime
    information = camera.devicemgmt.GetDeviceInformation()
    interfaces = camera.devicemgmt.GetNetworkInterfaces()
    media = camera.create_media_service()
    profiles = media.GetProfiles()
    token = profiles[0].token
    stream = media.GetStreamUri(
        {
            "StreamSetup": {"Stream": "RTP-Unicast", "Transport": {"Protocol": "RTSP"}},
            "ProfileToken": token,
        }
    )
    snapshot = media.GetSnapshotUri({"ProfileToken": token})
    pull = camera.create_pullpoint_service()
    messages = pull.PullMessages({"Timeout": "PT5S", "MessageLimit": 10})
    found = {
        "year": clock.Date.Year,
        "serial": information.SerialNumber,
        "mac": interfaces[0].Info.HwAddress,
        "profiles": [p.token for p in profiles],
        "sources": [p.VideoSourceConfiguration.SourceToken for p in profiles],
        "video_sources": [s.token for s in media.GetVideoSources()],
        "services": len(camera.devicemgmt.GetServices({"IncludeCapability": False})),
        "stream": stream.Uri,
        "snapshot": snapshot.Uri,
        "messages": len(messages.NotificationMessage),
        "terminates": messages.TerminationTime > messages.CurrentTime,
    }
    sys.stdout.write(json.dumps(found))


main(*sys.argv[1:])
