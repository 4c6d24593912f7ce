"""Readers of what users bring: images, masks, lists, folders, movies.

Every file of a user is opened here and nowhere else, so that it is read in one way and every
error names the file: one sentence, as `InputError`.
"""
