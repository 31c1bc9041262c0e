"""What acemath serves on this machine."""
