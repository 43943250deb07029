"""One module per subcommand of `leuko`, with `add_arguments(parser)` and `run(options)`; `leuko.cli` lists them."""
