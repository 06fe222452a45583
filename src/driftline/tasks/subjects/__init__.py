"""One version or segment of a model under judgement: its windows, its reference, and the evidence between them."""
