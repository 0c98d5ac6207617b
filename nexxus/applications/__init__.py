"""Applications, the tenants: their directory, their administration and changes of their schemas."""
