"""What the demo is made of: worksheet problems, the offline teacher and the small base model nano."""
