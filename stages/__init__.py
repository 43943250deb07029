"""One module per pipeline stage: read the parameters, call the library, write the declared outputs."""

from leuko.processor import choose_instructions

choose_instructions()
