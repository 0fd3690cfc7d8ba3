import os
import random

import numpy as np
from PIL import Image
from ultralytics import YOLO

random.seed(0)
np.random.seed(0)
for split, n in (("train", 24), ("val", 12)):
    for c, name in enumerate(("dark", "light", "striped")):
        os.makedirs(f"shades/{split}/{name}")
        for i in range(n):
            im = np.random.randint(0, 120, (32, 32, 3), dtype=np.uint8) + (100 if c == 1 else 0)
            if c == 2:
                im[::4] = 250
            Image.fromarray(im.astype(np.uint8)).save(f"shades/{split}/{name}/{i}.png")
YOLO("yolov8n-cls.yaml").train(data="/home/user/project/shades", epochs=8, imgsz=32, batch=12, workers=0, plots=False, project="/home/user/project/runs", name="cls", device="cpu",
                               amp=False, seed=0)
