"""The command ``python -m adapters.finetune``; its code is package `finetune`."""
