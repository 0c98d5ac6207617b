"""What `nexxus serve` adds to a `Nexxus`: ports, HTTP and signals."""
