"""Objects: reading, writing and subscribing, whichever way a client asks for it."""
