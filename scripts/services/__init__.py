"""Real servers on this machine, without containers: for tests, services and clusters."""
