"""The HTTP API; each module of routes is one section of the contract."""
