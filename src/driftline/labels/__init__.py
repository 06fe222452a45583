"""Labels and predictions, joined in the stream: what is known of a model's answers once the truth comes."""
