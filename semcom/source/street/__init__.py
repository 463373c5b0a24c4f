"""Procedural street scenes: one geometry gives both the picture and its label map.

A scene is laid out in metres (`layout`), drawn back to front into one buffer of surface numbers (`canvas`, Pillow's
ImageDraw), and shaded per sample from the plane of each surface (`render`). The label of a sample is the class of the
surface under it: picture and labels cannot disagree.
"""
