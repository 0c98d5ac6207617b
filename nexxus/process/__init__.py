"""What `nexxus serve` adds to a server: ports, HTTP and signals."""
