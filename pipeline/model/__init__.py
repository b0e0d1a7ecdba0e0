"""The models: linear baseline, recurrent network, training, ONNX export, and the classifier that serves."""
