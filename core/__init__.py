"""The spine every part stands on: model, wire, spool, security, configuration, runtime."""
