"""What a trained model does with its attention, found by running it: pruning, importance, explanations, comparison."""
