"""The language: what may be written in a spec, and what it means. Imports pydantic and yaml, never torch."""
