"""LitServe around the model as MLflow loads it: ``lit_api.py DIRECTORY PORT``."""

import sys

import litserve
import mlflow.pyfunc
import pandas as pd


class Pyfunc(litserve.LitAPI):
    """Data frame in, list or records out."""

    def setup(self, device):
        """Load the model in the worker."""
        self.model = mlflow.pyfunc.load_model(sys.argv[1])

    def decode_request(self, request):
        """MLflow's split orientation."""
        table = request["dataframe_split"]
        return pd.DataFrame(table["data"], columns=table["columns"])

    def predict(self, x):
        """The pyfunc's own."""
        return self.model.predict(x)

    def encode_response(self, output):
        """As MLflow answers."""
        records = isinstance(output, pd.DataFrame)
        return {"predictions": output.to_dict(orient="records") if records else output.tolist()}


if __name__ == "__main__":
    api = Pyfunc(api_path="/invocations")
    server = litserve.LitServer(api, accelerator="cpu")
    server.run(host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False)
