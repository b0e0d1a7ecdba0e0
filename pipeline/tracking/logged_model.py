"""The logged MLflow model, as code and not as a pickle: one string column `text` in; label and probabilities out."""

from pathlib import Path

import mlflow.models
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PythonModel

from pipeline.model.classifier import Classifier


class LoggedModel(PythonModel):
    def load_context(self, context) -> None:
        self.classifier = Classifier(Path(context.artifacts["models"]))

    # MLflow warns in colour about a `predict` whose input has no type hint.
    def predict(self, context, model_input: pd.DataFrame, params=None) -> pd.DataFrame:
        """Raises MlflowException, which MLflow's server answers with 400, for a row that has no text."""
        for row, text in enumerate(model_input["text"]):
            if not isinstance(text, str):
                raise MlflowException.invalid_parameter_value(f"row {row} of the column text is not a text")
        y_proba = self.classifier.predict_proba(model_input["text"]).astype(float)
        labels = self.classifier.labels
        columns = {f"probability_{label}": y_proba[:, index] for index, label in enumerate(labels)}
        return pd.DataFrame({"label": [labels[index] for index in y_proba.argmax(axis=1)]} | columns)


mlflow.models.set_model(LoggedModel())
