"""Parts of the demo: worksheet problems, the offline teacher and the small base model nano."""
