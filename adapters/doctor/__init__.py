"""Why numbers are not the published ones: ``python -m adapters doctor``.

mistakes   the mistakes that have a name, and the line that a check gives
clip       a small procedural video, as files
watching   what reaches the convolutions of a network
stages     what the readers, a network and its answers make of the clip; the golden summaries
diagnosis  from what was seen, and the golden summaries, to the name of the mistake
models     the small models that stand for their family
members    weights, options and precision of the members of a configuration
command    the command
"""
