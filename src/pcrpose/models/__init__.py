"""Networks, their configurations and losses, and the ways to load and save them."""
