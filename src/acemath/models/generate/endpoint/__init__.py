"""Any OpenAI-compatible server over HTTP: what fails is asked again, what is paid for is kept.

`engine` is the way in. `requests` says what is asked and `replies` what came back, `limiter` how much at once,
`budget` how much may be spent, `account` what is on disk.
"""
