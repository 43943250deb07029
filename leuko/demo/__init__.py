"""A synthetic data set, drawn by program: stained blood cells and tissue to try the pipeline on."""

from leuko.demo.dataset import draw_demo

__all__ = ["draw_demo"]
