"""Supervised fine-tuning: conversations in, a policy out; loss on responses alone, packed without leaks."""
