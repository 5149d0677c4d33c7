"""One file per verb of the `tilecast` command, and what the verbs share."""
