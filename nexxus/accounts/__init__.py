"""Accounts: users, devices and sessions, and the ways to sign in."""
