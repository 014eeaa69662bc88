"""Looking inside: what happens between a prompt and a picture, measured and told in numbers and small pictures."""
