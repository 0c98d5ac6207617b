"""What the process says about itself. A leaf: it imports nothing else of Nexxus."""
