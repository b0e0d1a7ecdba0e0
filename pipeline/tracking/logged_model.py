"""The logged MLflow model, as code and not as a pickle: one string column `text` in; label and probabilities out."""

from pathlib import Path

import mlflow.models
import pandas as pd
from mlflow.pyfunc import PythonModel

from pipeline.model.classifier import Classifier


class LoggedModel(PythonModel):
    def load_context(self, context) -> None:
        self.classifier = Classifier(Path(context.artifacts["models"]))

    def predict(self, context, model_input: pd.DataFrame, params=None) -> pd.DataFrame:
        probabilities = self.classifier.probabilities(model_input["text"]).astype(float)
        labels = self.classifier.labels
        answer = pd.DataFrame({"label": [labels[best] for best in probabilities.argmax(axis=1)]})
        for column, label in enumerate(labels):
            answer[f"probability_{label}"] = probabilities[:, column]
        return answer


mlflow.models.set_model(LoggedModel())
