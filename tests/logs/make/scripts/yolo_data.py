import os
import random

import numpy as np
from PIL import Image

random.seed(0)
np.random.seed(0)
for split, n in (("train", 12), ("val", 6)):
    os.makedirs(f"data/images/{split}")
    os.makedirs(f"data/labels/{split}")
    for i in range(n):
        im = np.random.randint(0, 60, (64, 64, 3), dtype=np.uint8)
        x, y, c = random.randint(5, 35), random.randint(5, 35), i % 2
        im[y:y + 22, x:x + 22] = (255, 40, 40) if c else (40, 255, 40)
        Image.fromarray(im).save(f"data/images/{split}/{i}.png")
        open(f"data/labels/{split}/{i}.txt", "w").write(f"{c} {(x + 11) / 64} {(y + 11) / 64} {22 / 64} {22 / 64}\n")
open("data.yaml", "w").write("path: /home/user/project/data\ntrain: images/train\nval: images/val\nnames: {0: green, 1: red}\n")
