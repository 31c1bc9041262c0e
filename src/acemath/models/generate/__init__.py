"""The engines that generate responses: transformers, vLLM and endpoints."""
