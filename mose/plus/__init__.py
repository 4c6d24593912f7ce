"""MOSE+: one training set from MOSE, BURST, OVIS, YouTube-VIS and DAVIS.

MASSeg (2nd place, MOSE track of the 4th PVUW challenge) trained on MOSE and on clips of four
other data sets, chosen for frequent occlusion, dense small objects, reappearance and similar
targets. `python -m mose.plus build` makes such a set from the public archives.
"""
