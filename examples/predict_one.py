"""Load weights and predict one image.

python examples/train.py && python examples/predict_one.py [IMAGE]
"""

import sys
from pathlib import Path

import chainrule
from runtime.checkpoint import load_weights
from runtime.data import load_mnist
from runtime.data.images import read_image, reading_for

digits = chainrule.compile(Path(__file__).with_name("digits.py"))
network = digits.Network()
load_weights(network, "weights/digits.safetensors")

if len(sys.argv) > 1:
    image = read_image(sys.argv[1], reading_for(digits.INPUT_SHAPE, resize=True))
else:
    image = load_mnist(offline=True).arrays().x_test[0]

# A batch of one. Bytes are scaled inside; floats would have to be from 0 to 1.
(probabilities,) = network.predict(image[None])
print(f"this is a {probabilities.argmax()}, with probability {probabilities.max():.1%}")
