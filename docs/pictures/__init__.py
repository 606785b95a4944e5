"""The pictures of docs/architecture.md; `make pictures` draws them again."""
