"""What the rows' scores and answers say about a model: metrics with their uncertainty, beside base, against targets."""
