"""Models: their chats, who generates responses and who scores them."""
