"""The viewer: stored problems and responses as a local page."""
