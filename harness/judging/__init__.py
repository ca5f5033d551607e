"""Judged conversation: questions to a judge, its verdicts and their store, and what they come to (docs/chat.md)."""
