"""The networks that can be trained, a module each that is named like the adapter.

`finetune.trainable` says what a module defines.
"""
