"""A web service by FastAPI: it takes an image, and says which digit it shows.

pip install fastapi uvicorn
python examples/train.py && uvicorn --app-dir examples serve:app
curl --data-binary @digit.png http://127.0.0.1:8000/predict
"""

import tempfile
from pathlib import Path

from fastapi import FastAPI, HTTPException, Request

import chainrule
from runtime.checkpoint import load_weights
from runtime.data.images import read_image, reading_for
from runtime.errors import DataError

digits = chainrule.compile(Path(__file__).with_name("digits.py"))
network = digits.Network(threads=1)
load_weights(network, "weights/digits.safetensors")
app = FastAPI(title="digits")


@app.post("/predict")
async def predict(request: Request) -> dict[str, object]:
    """The digit in the image that the body of the request is."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(await request.body())
        file.flush()
        try:
            image = read_image(file.name, reading_for(digits.INPUT_SHAPE, resize=True))
        except DataError as error:
            raise HTTPException(422, error.message) from error
    # Calls from several threads wait for each other: a small network answers in microseconds.
    (probabilities,) = network.predict(image[None])
    return {"digit": int(probabilities.argmax()), "probabilities": probabilities.tolist()}
