"""The HTTP API: routes, one module per section of the contract."""
