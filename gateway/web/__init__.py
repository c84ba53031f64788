"""The aiohttp application: health, metrics, API, stream, console."""
