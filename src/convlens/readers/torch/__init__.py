"""PyTorch: live modules and exported programs as graphs, files of weights as lists."""
