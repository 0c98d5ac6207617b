"""What adapters are built from. Public: third-party plugins may import these modules."""
