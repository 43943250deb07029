"""Leuko: does pre-training on other medical images help a network tell white blood cells apart?"""
