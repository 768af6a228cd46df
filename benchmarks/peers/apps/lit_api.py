"""LitServe around the model as MLflow loads it: ``lit_api.py DIRECTORY PORT BATCH``."""

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


class Batches(Pyfunc):
    """The same for several requests at once."""

    def batch(self, inputs):
        """One data frame from several; each request's rows are counted."""
        self.counts = [len(table) for table in inputs]
        return pd.concat(inputs, ignore_index=True)

    def unbatch(self, output):
        """The rows of each request; a generator would be taken for a stream."""
        parts, start = [], 0
        for count in self.counts:
            parts.append(output[start : start + count])
            start += count
        return parts


if __name__ == "__main__":
    size = int(sys.argv[3])
    options = {"max_batch_size": size, "batch_timeout": 0.001} if size > 1 else {}
    api = (Batches if size > 1 else Pyfunc)(api_path="/invocations", **options)
    server = litserve.LitServer(api, accelerator="cpu")
    server.run(host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False)
