"""A WAMP client for asyncio. What users need is offered by the package `rocade` itself."""
