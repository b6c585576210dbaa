"""Segmentation: is this person a member, now, and when will time alone change that?"""
