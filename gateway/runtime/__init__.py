"""asyncio loops around the domain: one input, one output each."""
