"""A rehearsal: a whole recipe with tiny models, a few rows and scripted responses, through the code of a real run."""
