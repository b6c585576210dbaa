"""The stage ``dead-letters``: what was refused, for people to see, repair and replay."""
