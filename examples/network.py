"""The demo's network: a small convolutional classifier of 28×28 grey images."""

from __future__ import annotations

from torch import Tensor, nn


class FashionNet(nn.Module):
    """Class scores [n, 10] of images [n, 1, 28, 28], float32 with pixel values in [0, 1].

    Every step is a module of its own and nothing works in place, so that each layer can be
    queried by its module path and its output is what the next layer sees.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, kernel_size=3, padding=1)  # [16, 28, 28]
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)  # [16, 14, 14]
        self.conv2 = nn.Conv2d(16, 32, kernel_size=3, padding=1)  # [32, 14, 14]
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)  # [32, 7, 7]
        self.flatten = nn.Flatten()  # [1568]
        self.fc1 = nn.Linear(32 * 7 * 7, 64)
        self.relu3 = nn.ReLU()
        self.fc2 = nn.Linear(64, 10)

    def forward(self, image: Tensor) -> Tensor:
        edges = self.pool1(self.relu1(self.conv1(image)))
        parts = self.pool2(self.relu2(self.conv2(edges)))
        features = self.relu3(self.fc1(self.flatten(parts)))
        scores: Tensor = self.fc2(features)
        return scores
