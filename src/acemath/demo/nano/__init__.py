"""nano: the small base model that ships with acemath, its tokenizer, and how both are made."""
