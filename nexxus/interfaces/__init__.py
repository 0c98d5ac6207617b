"""What adapters implement; each interface has its conformance kit in `nexxus.testing`."""
