import os

# onnxruntime would write a device id and a database into the user's cache, for its maker.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
