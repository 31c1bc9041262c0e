"""Models: their specifications and chats, the engines that generate responses, and reward models that score them."""
