"""The subcommands of `fusion-billing`, one module each; `deploy.cli` names them and loads only the one that is run."""
