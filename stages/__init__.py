"""One module per pipeline stage: read the parameters, call the library, write the declared outputs."""
