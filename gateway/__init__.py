"""Sightline, the video-network and sensor gateway of one district.

What is where:

    cli.py, commands/   the verbs of the `sightline` command, one file a verb
    app.py              composition root: settings -> adapters -> pipeline -> run until a signal
    settings.py         TOML + environment -> typed settings, all problems at once
    ports.py            what the service asks of the outside: Probe, Store, Clock
    inventory.py        who is watched: cameras, devices, the network tree
    domain/             pure decisions, one question a file
    projection.py       the present: written by the judge, read by everybody else (feed.py: changes)
    runtime/            asyncio loops, one input and one output each (start with pipeline.py)
    web/                HTTP: health, metrics, API, stream
    vault.py            secrets at rest
    errors.py           the exception tree, by what the caller should do
"""
