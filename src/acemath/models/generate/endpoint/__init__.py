"""The engine for OpenAI-compatible servers. It retries what fails, and keeps every response that was paid for.

`engine` is what other code uses. `asker` sends the `requests` through `client` and handles the `replies`; `limiter` sets
how many are in flight, `budget` how much may be spent, and `account` keeps responses and costs on disk.
"""
