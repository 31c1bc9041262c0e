"""Who generates responses: transformers, vLLM and endpoints."""
