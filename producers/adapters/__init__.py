"""Small programs between an app and the pipeline."""
