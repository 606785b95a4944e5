"""The wire protocol as data and pure state machines; see SPEC.md. Only `zeromq` does I/O."""
