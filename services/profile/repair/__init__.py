"""Computing profiles again, and proving that it changes nothing: for operators."""
