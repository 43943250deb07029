"""One module per pipeline stage: read the parameters, call the library, write the declared outputs."""

from leuko.core.processor import configure_libraries

configure_libraries()
