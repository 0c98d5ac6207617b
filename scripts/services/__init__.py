"""Real servers on this machine, without containers, for tests, `make services` and clusters."""
