"""The API between a running engine and its front ends: what is said (`messages`), both sides, and where they meet."""
