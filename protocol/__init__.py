"""The wire as data and pure state machines; see SPEC.md. No sockets, no clock, no logging."""
