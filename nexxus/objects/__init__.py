"""Objects: reading, writing and subscribing, over HTTP and in frames."""
