"""The explainer tab's side that thinks: its cards, their numbers and their strips."""
