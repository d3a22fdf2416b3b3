"""Sending requests and storing replies as they come. Read runner.py first."""
