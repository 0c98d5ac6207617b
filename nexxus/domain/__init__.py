"""The domain rules: schema, objects, filters, patches, channels, access. No I/O, no asyncio."""
