"""The contract between services: messages, topics and what is generated from them.

Imports nothing of ours. Another team may depend on this package alone.
"""
