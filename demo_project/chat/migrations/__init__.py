"""The accounts of the demo."""
