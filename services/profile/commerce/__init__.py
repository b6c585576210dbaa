"""What a person is about to buy, wishes for, has subscribed to, and talks about."""
