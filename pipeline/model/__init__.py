"""The models: linear baseline, recurrent network, training, ONNX export, and the classifier that serves."""

import os

# ONNX Runtime sends usage data unless this is set before it is imported; whoever wants that sets it to 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
