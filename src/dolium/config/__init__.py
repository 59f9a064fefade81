"""Configuration: text to settings. What is not known is an error that names file and line."""
